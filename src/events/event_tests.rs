use super::*;
use crate::events::dir_list::DirEntry;
use crate::events::head::tests::head;
use crate::events::smb_files::{FileTimes, SmbAction};
use crate::identity::account::{Account, How};
use serde_json::{Value, json};

const HEAD: &str =
    r#""ts":1.5,"ts_ns":1500000000,"uid":"C1","id.orig_h":"192.0.2.1","id.orig_p":50000,"id.resp_h":"192.0.2.2","id.resp_p":445"#;

fn account() -> Option<Account> {
    Some(Account::new(How::Ntlm, "D", "appadmin", "WS"))
}

fn line(event: impl Into<Event>) -> String {
    let event = event.into();
    assert_eq!(event.ts().as_nanos(), 1_500_000_000);
    let line = event.to_json_line();
    let read: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["_path"], event.path());
    assert!(!line.contains("null") && !line.contains('\n'), "{line}");
    line
}

#[test]
fn the_row_that_sigma_looks_for() {
    let row = SmbFiles {
        head: head(1_500_000_000, 445),
        fuid: None,
        action: SmbAction::PipeOpen,
        path: Some("\\\\host\\IPC$".into()),
        name: Some("atsvc".into()),
        size: 0,
        prev_name: None,
        times: FileTimes::default(),
        account: account(),
    };
    assert_eq!(
        line(row),
        format!(
            r#"{{"_path":"smb_files",{HEAD},"action":"SMB::PIPE_OPEN","path":"\\\\host\\IPC$","name":"atsvc","size":0,"account":{{"domain":"D","user":"appadmin","workstation":"WS","how":"ntlm"}}}}"#
        )
    );
}

#[test]
fn times_are_flat() {
    let times = FileTimes::from_filetimes([0, 116_444_736_000_000_000, 131_941_167_382_824_820, 0]);
    assert_eq!(serde_json::to_value(times).unwrap(), json!({"times.modified": 1_549_643_138.282482, "times.accessed": 0.0}));
}

#[test]
fn a_call() {
    let row = DceRpc {
        head: head(1_500_000_000, 445),
        rtt: Some(0.002138),
        named_pipe: Some("\\pipe\\atsvc".into()),
        endpoint: Some("atsvc".into()),
        operation: Some("NetrJobAdd".into()),
        operation_alias: Some("JobAdd".into()),
        interface_uuid: Some("1ff70682-0a51-30e8-076d-740be8cee98b".into()),
        opnum: Some(0),
        sealed: false,
        arguments: json!({"command": "cmd.exe"}),
        account: None,
    };
    assert_eq!(
        line(row.clone()),
        format!(
            r#"{{"_path":"dce_rpc",{HEAD},"rtt":0.002138,"named_pipe":"\\pipe\\atsvc","endpoint":"atsvc","operation":"NetrJobAdd","operation_alias":"JobAdd","interface_uuid":"1ff70682-0a51-30e8-076d-740be8cee98b","opnum":0,"arguments":{{"command":"cmd.exe"}}}}"#
        )
    );
    let sealed = line(DceRpc { sealed: true, arguments: Value::Null, ..row });
    assert!(sealed.contains(r#""sealed":true"#) && !sealed.contains("arguments"));
}

#[test]
fn the_other_rows() {
    let head = || head(1_500_000_000, 445);
    let conn = Conn {
        head: head(),
        proto: "tcp",
        service: Some("smb,gssapi,ntlm".into()),
        duration: Some(1.55),
        orig_bytes: Some(98),
        resp_bytes: Some(9417),
        conn_state: Some("SF"),
        local_orig: Some(false),
        local_resp: Some(true),
        missed_bytes: 0,
        history: Some("ShADadFf".into()),
        orig_pkts: Some(11),
        orig_ip_bytes: Some(670),
        resp_pkts: Some(10),
        resp_ip_bytes: Some(9945),
        tunnel_parents: vec![],
        ip_proto: Some(6),
        community_id: Some("1:abc=".into()),
    };
    assert!(line(conn).contains(r#""missed_bytes":0,"history":"ShADadFf","orig_pkts":11"#));
    let mapping = SmbMapping {
        head: head(),
        path: Some("\\\\host\\C$".into()),
        service: None,
        native_file_system: Some("NTFS".into()),
        share_type: "DISK",
        account: None,
    };
    assert_eq!(
        line(mapping),
        format!(r#"{{"_path":"smb_mapping",{HEAD},"path":"\\\\host\\C$","native_file_system":"NTFS","share_type":"DISK"}}"#)
    );
    let files = Files {
        head: head(),
        fuid: "F1".into(),
        tx_hosts: vec![[192, 0, 2, 2].into()],
        rx_hosts: vec![[192, 0, 2, 1].into()],
        source: "SMB",
        depth: 0,
        analyzers: vec!["SHA256"],
        mime_type: Some("text/plain".into()),
        filename: Some("a.txt".into()),
        duration: 0.0,
        local_orig: Some(true),
        is_orig: Some(false),
        seen_bytes: 16,
        total_bytes: Some(16),
        missing_bytes: 0,
        overflow_bytes: 0,
        timedout: false,
        parent_fuid: None,
        md5: None,
        sha1: None,
        sha256: Some("00".into()),
        account: None,
    };
    assert!(line(files).contains(r#""source":"SMB","depth":0,"analyzers":["SHA256"],"mime_type":"text/plain""#));
    let list = DirList {
        head: head(),
        path: None,
        directory: Some("x".into()),
        entries: vec![DirEntry::new("a".into(), 5, 0x10, 116_444_736_000_000_000)],
        left_out: 0,
        account: None,
    };
    assert!(line(list).contains(r#""entries":[{"name":"a","size":5,"directory":true,"attributes":16,"modified":0.0}]}"#));
    let pipe = PipeStream {
        head: head(),
        path: None,
        name: Some("RemCom_stdin".into()),
        duration: 0.5,
        orig_bytes: 4,
        resp_bytes: 0,
        orig_text: Some("dir\n".into()),
        resp_text: None,
        truncated: false,
        account: None,
    };
    assert!(line(pipe).contains(r#""orig_text":"dir\n""#.replace("\n", "\\n").as_str()));
    let task = ScheduledTask {
        head: head(),
        action: "register".into(),
        via: "atsvc".into(),
        name: Some("At1".into()),
        command: Some("cmd".into()),
        command_arguments: None,
        run_as: None,
        xml: None,
        success: Some(true),
        account: None,
    };
    assert!(line(task).contains(r#""action":"register","via":"atsvc","name":"At1","command":"cmd","success":true"#));
    let service = Service {
        head: head(),
        action: "create".into(),
        name: Some("svc".into()),
        display_name: None,
        binary_path: Some("c:\\x.exe".into()),
        run_as: None,
        success: None,
        account: account(),
    };
    assert!(line(service).contains(r#""binary_path":"c:\\x.exe""#));
}
