//! Flags become a selection, or one clear line.

use super::super::{Request, RequestError};
use crate::time::Timestamp;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    request: Request,
}

fn resolve(line: &str) -> Result<String, String> {
    // A bar stands for a space inside a word.
    let words = line.split_whitespace().map(|w| w.replace('|', " "));
    let line = Line::try_parse_from(std::iter::once("taploop".to_owned()).chain(words)).map_err(|e| e.to_string())?;
    let now = Timestamp::from_nanos(1_529_577_720_000_000_000);
    line.request.resolve(now).map(|s| s.to_string()).map_err(|e: RequestError| e.to_string())
}

#[test]
fn flags_become_a_selection() {
    for (line, text) in [
        ("", "everything"),
        ("--ip 10.1.2.3", "where layer(ip 10.1.2.3)"),
        ("--peer 10.1.2.3", "where layer(ip 10.1.2.3)"),
        ("--ip 10.2.0.0/16 --ip 10.1.2.3 --ip 10.1.2.3", "where layer(ip 10.1.2.3 or ip 10.2.0.0/16)"),
        ("--ip 10.1.2.3 --peer fe80::1 --peer 10.0.0.0/8", "where layer(pair 10.1.2.3 10.0.0.0/8 or pair 10.1.2.3 fe80::1)"),
        (
            "--ip 10.1.2.3 --ip 10.1.2.4 --port 445 --port 139 --proto tcp --vlan 7 --filter tcp[13]|&|2|!=|0",
            "where layer((ip 10.1.2.3 or ip 10.1.2.4) and (port 139 or port 445) and proto 6) and vlan 7 and filter \"tcp[13] & 2 != 0\"",
        ),
        ("--vlan 7 --vlan 8 --port 1", "where layer(port 1) and (vlan 7 or vlan 8)"),
        ("--community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=", "where layer(community-id 1:LQU9qZlK+B5F3KDmev6m5PMibrg=)"),
        ("--around now --window 5m", "from 2018-06-21T10:39:30Z to 2018-06-21T10:44:30Z"),
        ("--around 2018-06-21T10:42:00Z", "from 2018-06-21T10:39:30Z to 2018-06-21T10:44:30Z"),
        ("--around now --window 3ns", "from 2018-06-21T10:41:59.999999999Z to 2018-06-21T10:42:00.000000002Z"),
        ("--from -5m", "from 2018-06-21T10:37:00Z"),
        ("--from -1h --to -30m", "from 2018-06-21T09:42:00Z to 2018-06-21T10:12:00Z"),
        ("--to now", "to 2018-06-21T10:42:00Z"),
        (
            "--interface b --interface a --limit-packets 5 --limit-bytes 1KiB",
            "interface \"a\" interface \"b\" limit-packets 5 limit-bytes 1024",
        ),
        ("--filter |", "everything"),
        ("--filter type|mgt", "where filter \"type mgt\""),
        ("--filter -len|+|60|<|0", "where filter \"-len + 60 < 0\""),
    ] {
        assert_eq!(resolve(line).as_deref(), Ok(text), "{line}");
    }
}

#[test]
fn wrong_flags_get_one_clear_line() {
    for (line, want) in [
        ("--from now --to -5m", "--from 2018-06-21T10:42:00Z is not before --to 2018-06-21T10:37:00Z"),
        ("--from now --to now", "is not before"),
        ("--from 2018-06-21T10:42:00", "has no zone: write 2018-06-21T10:42:00Z"),
        ("--from 5|minutes|ago", "is no time: write RFC 3339"),
        ("--around now --from -5m", "--around does not go with"),
        ("--window 5m", "give --around T"),
        ("--around now --window 0s", "--window is empty"),
        ("--around now --window 5", "has no unit"),
        ("--ip evil.example", "is no IP address: write one like"),
        ("--ip 10.0.0.0/33", "no prefix length from 0 to 32"),
        ("--port 65536", "write a number, 0 to 65535"),
        ("--proto smb", "unknown protocol"),
        ("--vlan 4096", "write a number, 0 to 4095"),
        ("--community-id x", "begins with 1:"),
        ("--limit-packets 0", "0 is not in 1.."),
        ("--limit-bytes 0", "at least 1"),
        ("--limit-bytes 5M", "ambiguous: write 5MiB"),
        ("--filter host|evil.example", "names are never looked up: write an address instead of \"evil.example\""),
        ("--filter tcp|and", "syntax error"),
        ("--filter port|nosuchservice", "unknown port"),
    ] {
        let error = resolve(line).expect_err(line);
        assert!(error.contains(want), "{line}: {error}");
    }
    let many: String = (0..101).map(|i| format!("--ip 10.0.0.{i} --peer 10.0.1.{i} ")).collect();
    assert!(resolve(&many).expect_err("many").contains("10201 terms"));
}
