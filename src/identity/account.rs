//! The account that a session belongs to.

use serde::Serialize;

/// How an account proved itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// NTLM, version 1 or 2 ([MS-NLMP]).
    Ntlm,
    /// Kerberos (RFC 4120).
    Kerberos,
    /// No account was named: an anonymous (null) session.
    Anonymous,
    /// The server took the client as a guest, whatever name it gave.
    Guest,
    /// SMB1's session set-up without extended security ([MS-CIFS] 2.2.4.53): the responses are NTLM's, without its messages around them.
    #[serde(rename = "ntlm")]
    Plain,
}

/// An account as it was named on the wire. What was not told is `None`; empty names are not told.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Account {
    /// NetBIOS or DNS domain of NTLM, realm of Kerberos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The user's name; of a Kerberos principal all its parts joined by `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The name that the client's machine gives itself (NTLM only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workstation: Option<String>,
    /// How it proved itself.
    pub how: How,
}

impl Account {
    /// An account of these names, empty ones left out.
    pub fn new(how: How, domain: &str, user: &str, workstation: &str) -> Self {
        let told = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        Account { domain: told(domain), user: told(user), workstation: told(workstation), how }
    }
}

/// `DOMAIN\user`, or what is known of it; nothing known is `-`.
impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.domain, &self.user, self.how) {
            (Some(domain), Some(user), _) => write!(f, "{domain}\\{user}"),
            (None, Some(user), _) => f.write_str(user),
            (_, None, How::Anonymous) => f.write_str("anonymous"),
            (_, None, How::Guest) => f.write_str("guest"),
            (_, None, _) => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_not_told() {
        let account = Account::new(How::Anonymous, "", "", "WS");
        assert_eq!(serde_json::to_string(&account).unwrap(), r#"{"workstation":"WS","how":"anonymous"}"#);
        assert_eq!(account.to_string(), "anonymous");
        assert_eq!(Account::new(How::Ntlm, "DOM", "u", "").to_string(), "DOM\\u");
        assert_eq!(Account::new(How::Kerberos, "", "", "").to_string(), "-");
    }
}
