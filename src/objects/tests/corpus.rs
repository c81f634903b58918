//! Transfers of real captures, as the second reading that lies beside them tells them, against the rules.

use super::*;

/// `smb2-peter-*`: 13 WRITEs in each give only the head of a longer file, without set-EOF and with a refused CLOSE.
#[test]
fn rewritten_heads_in_the_corpus_are_not_whole() {
    let Some(corpus) = std::env::var_os("TAPLOOP_CORPUS").filter(|v| !v.is_empty()).map(std::path::PathBuf::from) else {
        eprintln!("skipped: TAPLOOP_CORPUS is not set");
        return;
    };
    for name in ["many-files", "one-packet-lost", "two-packets-lost"] {
        let path = corpus.join(format!("oracle/smb2-peter-{name}.pcap.json"));
        let oracle: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut s = Script::new();
        let transfers = oracle["transfers"].as_array().unwrap();
        for (number, transfer) in transfers.iter().enumerate() {
            let open = OpenId(number as u64);
            let action = transfer["create_action"].as_u64().unwrap() as u32;
            s.opened(open, action, transfer["size_at_open"].as_u64().unwrap());
            for way in ["read", "write"] {
                for range in transfer[way]["ranges"].as_array().into_iter().flatten() {
                    let (from, to) = (range[0].as_u64().unwrap(), range[1].as_u64().unwrap());
                    let bytes = vec![way.as_bytes()[0]; (to - from) as usize];
                    if way == "read" { s.read(open, from, &bytes) } else { s.write(open, from, &bytes) }
                }
            }
            let status = if transfer["closed_frame"].is_null() { 0xC000_0128 } else { 0 };
            s.tell(&What::Closed { open, status: Some(status), by_close: true });
        }
        let (all, _folder) = s.end();
        let writes: Vec<&Transfer> = all.iter().filter(|t| t.action == Action::Write).collect();
        let heads: Vec<&&Transfer> = writes.iter().filter(|t| !t.complete).collect();
        assert_eq!((writes.len(), heads.len()), (17, 13), "{name}");
        for head in heads {
            assert_eq!(missing(head), vec![(4096, head.size.unwrap(), Why::NotRewritten)], "{name}");
        }
    }
}
