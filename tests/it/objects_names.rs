//! Names of files in `taploop events --type smb_files` against those that the oracle (tshark) saw in CREATEs and opens.
//!
//! The oracle lists what was asked for. Zeek's smb_files has what was opened: a CREATE that the server refuses gives no row there, nor in
//! ours. Each such name stands in the table, with the frames that show it.

use crate::analysis::{ask, list, none_wrong, text};
use crate::objects_corpus::{captures, folded};
use crate::support::corpus;
use std::collections::BTreeSet;

/// STATUS_OBJECT_NAME_NOT_FOUND and STATUS_ACCESS_DENIED, in the answer.
const NOT_FOUND: u32 = 0xC000_0034;
const DENIED: u32 = 0xC000_0022;

/// A name, the frame of its request, that of the answer, and the answer's status.
type Refused = (&'static str, u64, u64, u32);

const ONLY_THE_ORACLE: &[(&str, &[Refused])] = &[
    ("krb-smb2-keytab.pcap", &[("desktop.ini", 38, 39, NOT_FOUND)]),
    (
        "ntlm-raw-in-smb1.pcap",
        &[
            (".hidden", 123, 124, NOT_FOUND),
            ("mdssvc", 117, 118, NOT_FOUND),
            ("sample pictures.lnk:com.apple.launchservices.openwith", 158, 159, NOT_FOUND),
        ],
    ),
    ("tsch-schtasks-win7.pcap", &[("browser", 59, 60, NOT_FOUND)]),
    ("netlogon-zerologon-win2019.pcap", &[("svcctl", 678, 679, DENIED)]),
    ("remcom-smb21.pcap", &[("browser", 27, 29, NOT_FOUND)]),
    (
        "smb1-filecontainer-vlan.pcap",
        &[
            ("windows:\u{5}bnhqlkugbim0elg1m1pt2tjdze:$data", 210, 211, NOT_FOUND),
            ("windows:\u{5}cpdjxwbhn2qzewcmqpca1lvyxc:$data", 250, 251, NOT_FOUND),
            ("windows:\u{5}documentsummaryinformation:$data", 114, 115, NOT_FOUND),
            ("windows:\u{5}epgykx0vjecku24w1vbvh5k2nh:$data", 202, 203, NOT_FOUND),
            ("windows:\u{5}ozngklrtowudrp0baayojd1qwh:$data", 146, 147, NOT_FOUND),
            ("windows:\u{5}pebiesnrmkudrfcoiaamtykdda:$data", 226, 227, NOT_FOUND),
            ("windows:\u{5}qebiesnrmkudrfcoiaamtykdda:$data", 186, 187, NOT_FOUND),
            ("windows:\u{5}sebiesnrmkudrfcoiaamtykdda:$data", 138, 139, NOT_FOUND),
            ("windows:\u{5}summaryinformation:$data", 86, 87, NOT_FOUND),
            ("windows:docf_\u{5}bnhqlkugbim0elg1m1pt2tjdze:$data", 212, 213, NOT_FOUND),
            ("windows:docf_\u{5}cpdjxwbhn2qzewcmqpca1lvyxc:$data", 252, 253, NOT_FOUND),
            ("windows:docf_\u{5}documentsummaryinformation:$data", 116, 117, NOT_FOUND),
            ("windows:docf_\u{5}epgykx0vjecku24w1vbvh5k2nh:$data", 204, 205, NOT_FOUND),
            ("windows:docf_\u{5}ozngklrtowudrp0baayojd1qwh:$data", 148, 149, NOT_FOUND),
            ("windows:docf_\u{5}pebiesnrmkudrfcoiaamtykdda:$data", 228, 229, NOT_FOUND),
            ("windows:docf_\u{5}qebiesnrmkudrfcoiaamtykdda:$data", 188, 189, NOT_FOUND),
            ("windows:docf_\u{5}sebiesnrmkudrfcoiaamtykdda:$data", 140, 141, NOT_FOUND),
            ("windows:docf_\u{5}summaryinformation:$data", 88, 89, NOT_FOUND),
            ("windows:{4c8cc155-6c1e-11d1-8e41-00c04fb9386d}:$data", 84, 85, NOT_FOUND),
        ],
    ),
    (
        "smb2-100-small-files-compound.pcap",
        &[
            (".trash", 76, 78, NOT_FOUND),
            (".trash-1000", 80, 82, NOT_FOUND),
            (".xdg-volume-info", 86, 90, NOT_FOUND),
            ("autorun.inf", 86, 90, NOT_FOUND),
            ("bdmv", 84, 87, NOT_FOUND),
        ],
    ),
    (
        "smb2-delete-tree-windows7.pcap",
        &[("choppydog\\desktop.ini", 36, 37, NOT_FOUND), ("default\\desktop.ini", 27, 28, NOT_FOUND)],
    ),
    ("smb2-macos-compound-loopback.pcap", &[(".hidden", 100, 101, NOT_FOUND), (":afp_afpinfo", 35, 36, NOT_FOUND)]),
    ("smb2-macos-delete-compound.pcap", &[(".hidden", 99, 100, NOT_FOUND), (":afp_afpinfo", 54, 55, NOT_FOUND)]),
    ("smb2-read-and-write-midstream.pcap", &[("desktop.ini", 26, 27, NOT_FOUND)]),
    (
        "smb2-share-traversal.pcap",
        &[
            ("administrator\\desktop.ini", 218, 219, NOT_FOUND),
            ("administrator\\desktop\\desktop.ini", 230, 232, NOT_FOUND),
            ("administrator\\documents\\desktop.ini", 233, 234, NOT_FOUND),
            ("administrator\\downloads\\desktop.ini", 235, 236, NOT_FOUND),
            ("administrator\\favorites\\desktop.ini", 237, 238, NOT_FOUND),
            ("administrator\\links\\desktop.ini", 239, 240, NOT_FOUND),
            ("administrator\\music\\desktop.ini", 241, 243, NOT_FOUND),
            ("administrator\\pictures\\desktop.ini", 244, 245, NOT_FOUND),
            ("administrator\\videos\\desktop.ini", 246, 247, NOT_FOUND),
            ("choppydog\\desktop.ini", 294, 296, NOT_FOUND),
            ("default\\desktop.ini", 207, 208, NOT_FOUND),
        ],
    ),
    ("smb2-upload-partial-gaps.pcap", &[("新建文件夹\\desktop.ini", 10, 11, NOT_FOUND)]),
];

/// There is no IP in this capture: NetBEUI is not read.
const WITHOUT_IP: &str = "smb1-dos-win98-netbeui.pcap";

#[test]
fn names_are_those_of_the_oracle_but_for_refused_ones() {
    let Some(root) = corpus() else { return };
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for c in captures(&root) {
        // Those of encrypted sessions are compared with their keys, beside the rest of what the keys open.
        if c.oracle["smb"]["encrypted_frames"].as_u64() > Some(0) || c.name == WITHOUT_IP {
            continue;
        }
        let names = list(&c.oracle, "files").iter().map(|f| folded(text(f, "name")));
        let want: BTreeSet<String> = names.filter(|n| !n.is_empty()).collect();
        if want.is_empty() {
            continue;
        }
        seen += want.len();
        let said = ask("events", &c.path, None);
        let have: BTreeSet<String> = said.log("smb_files").map(|e| folded(text(e, "name"))).collect();
        let refused = ONLY_THE_ORACLE.iter().find(|t| t.0 == c.name).map_or(&[][..], |t| t.1);
        let refused: BTreeSet<&str> = refused.iter().map(|r| r.0).collect();
        let only: BTreeSet<&str> = want.difference(&have).map(String::as_str).collect();
        wrong.extend(only.difference(&refused).map(|n| format!("{}: only the oracle: {n}", c.name)));
        wrong.extend(refused.difference(&only).map(|n| format!("{}: is no difference any more: {n}", c.name)));
    }
    none_wrong(&wrong);
    assert!(seen > 350, "{seen} names");
}

/// The table's frames say what it says, as tshark reads them.
#[test]
fn the_refusals_are_in_the_frames_named() {
    let Some(root) = corpus() else { return };
    let mut wrong = Vec::new();
    for c in captures(&root) {
        for (name, _, answer, status) in ONLY_THE_ORACLE.iter().filter(|t| t.0 == c.name).flat_map(|t| t.1) {
            let condition = format!("frame.number=={answer} && (smb2.nt_status=={status} || smb.nt_status=={status})");
            let found = std::process::Command::new("tshark").args(["-n", "-Y", &condition, "-r"]).arg(&c.path).output().unwrap();
            if found.stdout.is_empty() {
                wrong.push(format!("{}: {name}: frame {answer} is no refusal", c.name));
            }
        }
    }
    none_wrong(&wrong);
}
