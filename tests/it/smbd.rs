//! A real SMB server (Samba's smbd) at the recorded end of a link, and real clients (smbclient) at the other. The server has its settings,
//! accounts, sockets and state in a folder of the test's own, and runs in a PID namespace of its own, so that nothing of it outlives the test.

use crate::net::{HERE, Link, RECORDED};
use crate::support::{Running, eventually, has_tool, run_with, skip};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The domain that clients name; the server takes it for its own.
pub(crate) const DOMAIN: &str = "CORP";
/// The only share.
pub(crate) const SHARE: &str = "jobs";

/// Who may log on.
pub(crate) struct Account {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    /// The account of the system that it stands for: one that every system has, so that none need be made.
    unix: &'static str,
}

pub(crate) const ADMIN: &Account = &Account { user: "appadmin", password: "S3cret!pw", unix: "root" };
pub(crate) const BACKUP: &Account = &Account { user: "Backup", password: "pass: w\u{f6}rd", unix: "daemon" };

/// The keys of one session, as `debug encryption` has the server log them.
#[derive(Default)]
pub(crate) struct SessionKeys {
    /// As on the wire.
    pub(crate) id: Vec<u8>,
    pub(crate) session: Vec<u8>,
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
}

/// Whether the system's Python has impacket; else a skip.
pub(crate) fn has_impacket() -> bool {
    let found = Command::new("/usr/bin/python3").args(["-c", "import impacket"]).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        skip("impacket is not installed");
    }
    found
}

/// A running server.
pub(crate) struct Smbd<'a> {
    link: &'a Link,
    child: Running,
    folder: PathBuf,
}

/// Settings that keep all that Samba writes inside `folder`.
fn own(folder: &Path) -> String {
    let kinds = ["private dir", "lock directory", "state directory", "cache directory", "pid directory", "ncalrpc dir"];
    kinds.iter().map(|kind| format!("{kind} = {}\n", folder.display())).collect()
}

impl<'a> Smbd<'a> {
    /// Starts a server in an empty folder, and returns when it answers; `None` after a skip. The link has its addresses already.
    pub(crate) fn start(link: &'a Link, folder: &Path) -> Option<Smbd<'a>> {
        let tools = ["smbd", "smbclient", "smbpasswd", "unshare"];
        if !tools.iter().all(|tool| has_tool(tool)) {
            return None;
        }
        let (state, client, share) = (folder.join("state"), folder.join("client"), folder.join("share"));
        for dir in [&state, &client, &share] {
            fs::create_dir_all(dir).unwrap();
        }
        let (conf, users) = (folder.join("smbd.conf"), folder.join("users"));
        let map: String = [ADMIN, BACKUP].iter().map(|a| format!("!{} = {}\n", a.unix, a.user)).collect();
        fs::write(&users, map).unwrap();
        let settings = format!(
            "[global]\nserver role = standalone server\nworkgroup = {DOMAIN}\nnetbios name = FILESRV\nserver min protocol = NT1\n\
             server signing = auto\nbind interfaces only = yes\ninterfaces = {RECORDED}\ndisable spoolss = yes\nload printers = no\n\
             debug encryption = yes\nlog file = {state}/log.%d\nmax log size = 0\npassdb backend = smbpasswd:{state}/smbpasswd\n\
             username map = {users}\n{own}\n[{SHARE}]\npath = {share}\nread only = no\nforce user = root\n",
            state = state.display(),
            users = users.display(),
            own = own(&state),
            share = share.display(),
        );
        fs::write(&conf, settings).unwrap();
        fs::write(folder.join("client.conf"), format!("[global]\nworkgroup = {DOMAIN}\n{}", own(&client))).unwrap();
        for account in [ADMIN, BACKUP] {
            let mut c = Command::new("smbpasswd");
            c.arg("-c").arg(&conf).args(["-s", "-a", account.unix]).env("LC_ALL", "C.UTF-8");
            let out = run_with(c, format!("{0}\n{0}\n", account.password).as_bytes());
            assert_eq!(out.status, 0, "smbpasswd: {}", out.stderr);
        }
        link.set("lo", "up");
        let mut c = link.command("unshare");
        // Whoever ends unshare ends the server's first process, and the kernel all the others of its PID namespace.
        c.args(["--pid", "--mount-proc", "--kill-child", "smbd", "--foreground", "--configfile"]).arg(&conf);
        let log = fs::File::create(folder.join("smbd.log")).unwrap();
        c.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = Running(c.spawn().unwrap());
        eventually("smbd answers", || {
            if let Some(status) = child.0.try_wait().unwrap() {
                panic!("smbd ended ({status}): {}", fs::read_to_string(folder.join("smbd.log")).unwrap());
            }
            link.there(|| TcpStream::connect((HERE, 445))).ok()
        });
        Some(Smbd { link, child, folder: folder.to_path_buf() })
    }

    /// The share's folder.
    pub(crate) fn share(&self) -> PathBuf {
        self.folder.join("share")
    }

    /// A client that runs `script` on the share, in the dialect and no other.
    pub(crate) fn client(&self, account: &Account, dialect: &str, flags: &[&str], script: &str) -> Command {
        let mut c = self.link.command_there("smbclient");
        c.arg(format!("//{HERE}/{SHARE}")).arg("--configfile").arg(self.folder.join("client.conf"));
        c.arg("-U").arg(format!("{DOMAIN}\\{}%{}", account.user, account.password));
        c.args(["-m", dialect, "--option", &format!("client min protocol={dialect}")]).args(flags);
        c.args(["-c", script]).env("LC_ALL", "C.UTF-8").current_dir(&self.folder);
        c
    }

    /// Another client, in a dialect by its number: impacket's.
    pub(crate) fn impacket(&self, account: &Account, dialect: &str, script: &str) -> Command {
        let mut c = self.link.command_there("/usr/bin/python3");
        c.args(["-c", include_str!("impacket.py"), HERE, SHARE, DOMAIN, account.user, account.password, dialect, script]);
        c.env("LC_ALL", "C.UTF-8").current_dir(&self.folder);
        c
    }

    /// The keys of the sessions so far, in no order. Each process of the server has a log of its own, which has its sessions one by one.
    pub(crate) fn sessions(&self) -> Vec<SessionKeys> {
        let mut all = Vec::new();
        for log in fs::read_dir(self.folder.join("state")).unwrap() {
            let log = log.unwrap();
            if log.file_name().to_string_lossy().starts_with("log.") {
                all.extend(session_keys(&String::from_utf8_lossy(&fs::read(log.path()).unwrap())));
            }
        }
        all
    }
}

impl Drop for Smbd<'_> {
    fn drop(&mut self) {
        let pid = self.child.0.id();
        let first = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        self.child.kill();
        // It is the last to go: its folder is not taken away under others.
        if let Ok(first) = first.trim().parse::<u32>() {
            let gone = |stat: &str| stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('Z'));
            let stat = || fs::read_to_string(format!("/proc/{first}/stat"));
            eventually("smbd is gone", || stat().map_or(true, |s| gone(&s)).then_some(()));
        }
    }
}

/// Sessions in a server's log: a name and up to 16 bytes a line, longer keys going on in lines without a name.
fn session_keys(log: &str) -> Vec<SessionKeys> {
    let mut all: Vec<SessionKeys> = Vec::new();
    let mut name = "";
    for line in log.lines() {
        let Some((before, dump)) = line.split_once('[').filter(|(_, rest)| rest.get(4..6) == Some("] ")) else { continue };
        if !before.trim().is_empty() {
            name = before.trim();
        }
        if name == "Session Id" {
            all.push(SessionKeys::default());
        }
        let Some(session) = all.last_mut() else { continue };
        let key = match name {
            "Session Id" => &mut session.id,
            "Session Key" => &mut session.session,
            "ServerIn Key" => &mut session.to_server,
            "ServerOut Key" => &mut session.to_client,
            _ => continue,
        };
        // Two digits and a blank a byte, two more blanks in the middle; the same as text follows.
        let digits: String = dump[6..].chars().take(50).filter(char::is_ascii_hexdigit).collect();
        key.extend(hex::decode(digits).unwrap());
    }
    all
}

#[test]
fn session_keys_are_read_as_the_server_logs_them() {
    let log = "  debug encryption: dumping generated session keys\n\
        \x20 Session Id    [0000] 23 C7 6F D3 00 00 00 00                             #.o.....\n\
        \x20 Session Key   [0000] DF 7E 47 CE 8A 77 F9 E1   1B 05 F6 8C 89 5E A7 44   .~G..w.. .....^.D\n\
        \x20 Cipher Algo: 3\n\
        \x20 ServerIn Key  [0000] 2D 0B 4B 52 06 E4 9E 87   4E 30 29 47 F5 04 00 C1   -.KR.... N0)G....\n\
        \x20 [0010] 01 B5 B0 06 13 09 F0 68   F0 EF F9 A7 54 5D 46 14   .......h ....T]F.\n";
    let all = session_keys(log);
    assert_eq!(all.len(), 1);
    assert_eq!(hex::encode(&all[0].id), "23c76fd300000000");
    assert_eq!(hex::encode(&all[0].session), "df7e47ce8a77f9e11b05f68c895ea744");
    assert_eq!(hex::encode(&all[0].to_server), "2d0b4b5206e49e874e302947f50400c101b5b0061309f068f0eff9a7545d4614");
    assert!(all[0].to_client.is_empty());
}
