//! An exchange sealed and encoded by impacket (impacket.krb5, pyasn1): alice@CORP.LAN, keys of one repeated byte.

use super::*;
use crate::identity::keytab::KeytabEntry;
use proptest::prelude::*;

// The service's key is 01.., the ticket's 02.., the subkeys are 03.. and 04... The plain ones have no subkey.
const TICKET: &str = "280bf9ab6abd4f7fd3fb7808a195f6339a010fb3cab6b98587996dc93716a43b00aaae0cd87b9079f3417d5834f53373213b977563904cc05d0cce94\
    f9027629faab19ed01a923e70b442d18e62777dbad0cce6435c3e237084f312a94487e733f8fdfe2ce926cb2983865c9e7111b02c68c1f9b0b81cf32\
    283c036bb96498657620a84d9238aae664f342fbdae6623b981af5616db88593f183ac3aa6fcb3fd164a0ca7c6eb1deb12baa2";
const AUTHENTICATOR: &str = "023e723373513583d120dbaaa6331279fedb0562845638ee7ec7029b30ab42206e14792579a12c63d24db9e7e604a52991fe9964182513622409737b\
    a5fc3718cf96ac178c953807a6ed9214de8081232fc10a26e2f36af08d2b1352aae8b357067c2b80a6aee8a5f849d3a329f281f074af3f92057cf604\
    e1c9036db14ffe730fa57e78070261ca49ee";
const AUTHENTICATOR_PLAIN: &str = "023e723373513583d120dbaaa63312795d75ed2cf7edc5ee7d51bce469b9e0d1fd87a6f6f49384581c7c3908a5cbcff9427e45bbff14a0752f6d5a7b\
    5f0e3199aad65c94108cff90dd9ae180250dcdcb634f09cc6f40cc8002305e36a5";
const AP_REP: &str = "f25a0933d0660fb60d1f220c2038c41bb434538ccc56297259ab7cccb1cb576bc91ddbb0264d22ab3b922f92bc142d9fe558e82c37b61ae76e6486b1\
    fdd67142b94c405b70c20d16df94ad4e84cf3d41713598e38c";
const AP_REP_PLAIN: &str =
    "f25a0933d0660fb60d1f220c2038c41bcbc9f77fcc3de9afea49171126f0137db12933b953b9e826c4bd1742200288fb46590d728f0e3c95";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn keytab(keys: &[(i32, u8)]) -> Keytab {
    let entry = |&(enctype, byte): &(i32, u8)| KeytabEntry {
        realm: "CORP.LAN".into(),
        principal: "cifs/server".into(),
        kvno: 3,
        key: Key::new(enctype, &vec![byte; if enctype == 18 { 32 } else { 16 }]).unwrap(),
    };
    Keytab { entries: keys.iter().map(entry).collect(), ..Keytab::default() }
}

fn opened(keytab: &Keytab, authenticator: &str, ap_rep: Option<&str>) -> Result<KerberosSession, NoKerberosKey> {
    let (ticket, authenticator, ap_rep) = (bytes(TICKET), bytes(authenticator), ap_rep.map(bytes));
    session(
        keytab,
        &ApExchange {
            ticket_enctype: 18,
            ticket_kvno: Some(3),
            ticket: &ticket,
            authenticator: &authenticator,
            ap_rep: ap_rep.as_deref(),
        },
    )
}

#[test]
fn the_acceptors_subkey_goes_first() {
    let keytab = keytab(&[(17, 9), (18, 9), (18, 1)]);
    let found = |authenticator, ap_rep| {
        let session = opened(&keytab, authenticator, ap_rep).unwrap();
        assert_eq!((&session.client[..], &session.realm[..]), ("alice", "CORP.LAN"));
        (session.from, session.key)
    };
    assert_eq!(found(AUTHENTICATOR, Some(AP_REP)), (KeyFrom::Acceptor, vec![4; 16]));
    assert_eq!(found(AUTHENTICATOR, Some(AP_REP_PLAIN)), (KeyFrom::Initiator, vec![3; 32]));
    assert_eq!(found(AUTHENTICATOR, Some("00")), (KeyFrom::Initiator, vec![3; 32]));
    assert_eq!(found(AUTHENTICATOR, None), (KeyFrom::Initiator, vec![3; 32]));
    assert_eq!(found(AUTHENTICATOR_PLAIN, Some(AP_REP)), (KeyFrom::Acceptor, vec![4; 16]));
    assert_eq!(found(AUTHENTICATOR_PLAIN, Some(AP_REP_PLAIN)), (KeyFrom::Ticket, vec![2; 32]));
}

#[test]
fn says_why_there_is_no_key() {
    assert_eq!(opened(&keytab(&[]), AUTHENTICATOR, None), Err(NoKerberosKey::NoKey));
    assert_eq!(opened(&keytab(&[(17, 1)]), AUTHENTICATOR, None), Err(NoKerberosKey::NoKey));
    assert_eq!(opened(&keytab(&[(18, 2)]), AUTHENTICATOR, None), Err(NoKerberosKey::WrongKey));
    let shown = format!("{:?}", opened(&keytab(&[(18, 1)]), AUTHENTICATOR, None));
    assert_eq!(shown, "Ok(KerberosSession { client: alice@CORP.LAN, from: Initiator, .. })");
}

#[test]
fn every_prefix_of_a_ticket_is_taken() {
    let ticket = Key::new(18, &[1; 32]).unwrap().decrypt(usage::TICKET, &bytes(TICKET)).unwrap();
    let nothing = ApExchange { ticket_enctype: 18, ticket_kvno: None, ticket: &[], authenticator: &[], ap_rep: None };
    assert!(with_ticket(&ticket, &nothing).is_some());
    for end in 0..ticket.len() {
        assert_eq!(with_ticket(&ticket[..end], &nothing), None);
    }
}

proptest! {
    #[test]
    fn any_plain_text_is_taken(mut plain in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..500, byte: u8) {
        let nothing = ApExchange { ticket_enctype: 18, ticket_kvno: None, ticket: &[], authenticator: &[], ap_rep: None };
        let mut ticket = Key::new(18, &[1; 32]).unwrap().decrypt(usage::TICKET, &bytes(TICKET)).unwrap();
        let at = at % ticket.len();
        ticket[at] = byte;
        let _ = with_ticket(&ticket, &nothing);
        plain.splice(0..0, [0x63, 0x81, 200, 0x30, 0x81, 190]);
        let _ = with_ticket(&plain, &nothing);
    }
}
