//! One transfer in many packetisations: our own captures with segments repeated, in another order, cut anew, lost, started late, or of one
//! direction. The objects stay the same; where bytes are gone exactly those are missing; and no byte is ever another file's.

use crate::analysis::{ask_with, list, none_wrong, own_folder, sha256, text};
use crate::make::{Random, v4};
use crate::segments::{Segment, Talk, read, recut, stream, write, write_with_spoilt};
use crate::support::{Data, NONE_MATCHED, NOT_WHOLE, WHOLE};
use serde_json::Value;
use std::fs;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;

/// The captures that are transformed: SMB 2.1 and SMB1, the same files in each.
const CAPTURES: [&str; 2] = ["smb2-10", "smb1-nt1"];
/// How often each random transform is tried with each capture.
const ROUNDS: u64 = 24;

/// What is found though it should not be: faults, as a part of the lines that say so. Each goes once it is mended.
const FAULTS: &[(&str, &str)] = &[];

/// Leaves out the known faults of a test; one that is no longer found is wrong too.
fn unknown(found: Vec<String>, test: &str) -> Vec<String> {
    let faults: Vec<&str> = FAULTS.iter().filter(|f| f.0 == test).map(|f| f.1).collect();
    let gone =
        faults.iter().filter(|f| !found.iter().any(|line| line.ends_with(*f))).map(|f| format!("is no fault any more: {f}"));
    let gone: Vec<String> = gone.collect();
    found.into_iter().filter(|line| !faults.iter().any(|f| line.ends_with(f))).chain(gone).collect()
}

/// An object as it was exported: its entry in the manifest, and its bytes.
pub(crate) struct Object {
    pub(crate) entry: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Object {
    pub(crate) fn seen(&self) -> impl Iterator<Item = Range<usize>> {
        list(&self.entry, "seen").iter().map(|r| r[0].as_u64().unwrap() as usize..r[1].as_u64().unwrap() as usize)
    }

    fn missing(&self) -> Vec<(u64, u64)> {
        list(&self.entry, "missing").iter().map(|m| (m["from"].as_u64().unwrap(), m["to"].as_u64().unwrap())).collect()
    }

    pub(crate) fn named(&self) -> String {
        let e = &self.entry;
        format!("{} of {} ({}), {} of {} seen", e["action"], e["path"], e["name"], e["seen_bytes"], e["size"])
    }
}

/// A file as it really was.
struct File {
    action: String,
    path: String,
    bytes: Vec<u8>,
    /// When it was open, as positions of segments.
    open: Range<usize>,
}

fn export(capture: &[u8]) -> Vec<Object> {
    export_with(capture, None)
}

/// The objects of a capture, with secrets where there are any.
pub(crate) fn export_with(capture: &[u8], keys: Option<&Path>) -> Vec<Object> {
    let data = Data::new();
    let (file, folder) = (data.file("made.pcap", capture), data.outside().join("out"));
    let mut flags = vec!["--json".as_ref(), "--export-dir".as_ref(), folder.as_os_str()];
    flags.extend(keys.iter().flat_map(|k| ["--keys".as_ref(), k.as_os_str()]));
    let out = ask_with("objects", &file, &flags);
    assert!([WHOLE, NONE_MATCHED, NOT_WHOLE].contains(&out.status), "{}: {}", out.status, out.stderr);
    let Ok(manifest) = fs::read(folder.join("manifest.json")) else { return Vec::new() };
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let bytes = |e: &Value| fs::read(folder.join(text(e, "file"))).unwrap_or_default();
    list(&manifest, "objects").iter().map(|e| Object { bytes: bytes(e), entry: e.clone() }).collect()
}

/// A capture's segments and the files in it, which are those that the script knew.
fn truth(name: &str) -> (Vec<Segment>, Vec<File>) {
    let folder = own_folder();
    let segments = read(&folder.join(format!("{name}.pcap")));
    let expected: Value = serde_json::from_slice(&fs::read(folder.join(format!("{name}.expected.json"))).unwrap()).unwrap();
    // Written anew, so that the numbers of packets are positions of segments.
    let objects = export(&write(&segments));
    let mut files = Vec::new();
    for want in list(&expected, "objects") {
        let same = |o: &&Object| o.entry["sha256"] == want["sha256"] && o.entry["path"] == want["path"];
        let o = objects.iter().find(same).unwrap_or_else(|| panic!("{name}: no {want}"));
        assert_eq!(sha256(&o.bytes), text(want, "sha256"));
        let at = |key: &str| {
            let ns = o.entry[key].as_u64().unwrap() - crate::make::START;
            (ns / 20_000) as usize
        };
        files.push(File {
            action: text(want, "action").to_owned(),
            path: text(want, "path").to_owned(),
            bytes: o.bytes.clone(),
            // It is open from the server's answer on; the question was the last that the client said before.
            open: segments[..at("ts_ns")].iter().rposition(|s| !s.payload.is_empty()).unwrap()..at("ts_end_ns") + 1,
        });
    }
    assert_eq!(files.len(), 5, "{name}");
    (segments, files)
}

/// Whether all that was seen of the object is of this file.
fn is_of(o: &Object, f: &File) -> bool {
    o.entry["action"] == f.action.as_str()
        && o.seen().all(|r| f.bytes.get(r.clone()).is_some_and(|truth| o.bytes.get(r) == Some(truth)))
}

/// What can never be: bytes that are not the file's, and a whole that is not one.
fn lies(objects: &[Object], files: &[File]) -> Vec<String> {
    let mut wrong = Vec::new();
    for o in objects {
        let path = text(&o.entry, "path");
        let seen: Vec<u8> = o.seen().flat_map(|r| o.bytes[r].to_vec()).collect();
        if sha256(&seen) != text(&o.entry, "sha256_seen") {
            wrong.push(format!("{}: sha256_seen is of other bytes", o.named()));
        }
        // Without its name it can be any of those that fit.
        let Some(f) = files.iter().find(|f| (path.is_empty() || f.path == path) && is_of(o, f)) else {
            wrong.push(format!("{}: bytes that are of no such file", o.named()));
            continue;
        };
        // Where its name is known it is that file and no other.
        let is_it = |f: &File| (path.is_empty() || f.path == path) && is_of(o, f) && o.bytes == f.bytes;
        if o.entry["complete"] == true && !files.iter().any(is_it) {
            wrong.push(format!("{}: called whole, of {} bytes", o.named(), f.bytes.len()));
        }
        // Without a CLOSE the end of a file that was empty is not known.
        let is_end_known = !["create", "last_write"].contains(&text(&o.entry, "size_from"));
        if is_end_known
            && o.entry["complete"] == false
            && o.entry["size"].is_u64()
            && o.missing().is_empty()
            && list(&o.entry, "conflicts").is_empty()
        {
            wrong.push(format!("{}: not whole, and nothing is missing", o.named()));
        }
    }
    wrong
}

fn is_whole(objects: &[Object], f: &File) -> bool {
    objects.iter().any(|o| o.entry["complete"] == true && o.entry["path"] == f.path.as_str() && is_of(o, f) && o.bytes == f.bytes)
}

/// Nothing was lost: all the files, whole, and nothing else.
fn all_whole(what: &str, segments: &[Segment], files: &[File]) -> Vec<String> {
    let objects = export(&write(segments));
    let mut wrong = lies(&objects, files);
    wrong.extend(files.iter().filter(|f| !is_whole(&objects, f)).map(|f| {
        let near: Vec<String> = objects.iter().filter(|o| o.entry["path"] == f.path.as_str()).map(Object::named).collect();
        format!("{} of {} is not whole: {near:?}", f.action, f.path)
    }));
    if objects.len() != files.len() {
        wrong.push(format!("{} objects: {:?}", objects.len(), objects.iter().map(Object::named).collect::<Vec<_>>()));
    }
    wrong.into_iter().map(|w| format!("{what}: {w}")).collect()
}

/// Tries a transform, with a random seed for each round, on each capture.
fn each_round(transform: impl Fn(&[Segment], &mut Random, u64) -> Vec<Segment>) {
    let mut wrong = Vec::new();
    for name in CAPTURES {
        let (segments, files) = truth(name);
        for round in 0..ROUNDS {
            let made = transform(&segments, &mut Random(round * 7 + 1), round);
            wrong.extend(all_whole(&format!("{name}, round {round}"), &made, &files));
        }
    }
    none_wrong(&wrong);
}

#[test]
fn repeated_segments_change_nothing() {
    each_round(|segments, random, _| {
        let mut made: Vec<Segment> = Vec::new();
        for s in segments {
            made.push(s.clone());
            // A while after it, or one of those before it.
            if random.one_in(2) {
                let at = random.below(made.len() as u64) as usize;
                made.push(made[at].clone());
            }
        }
        made
    });
}

#[test]
fn segments_in_another_order_change_nothing() {
    each_round(|segments, random, round| {
        let mut made = segments.to_vec();
        // The handshake stays, and what one side sends changes places with what is near.
        for window in made[3..].chunks_mut(2 + (round % 4) as usize) {
            random.shuffle(window);
        }
        made
    });
}

#[test]
fn other_cuts_change_nothing() {
    each_round(|segments, random, round| recut(segments, random, 8, [1, 17, 100, 1_460, 40_000][(round % 5) as usize]));
}

/// Even where the first packet of a connection is too short to tell what it carries.
#[test]
fn cuts_of_single_bytes_change_nothing() {
    let mut found = Vec::new();
    for name in CAPTURES {
        let (segments, files) = truth(name);
        found.extend(all_whole(&format!("{name} in single bytes"), &recut(&segments, &mut Random(1), 1, 1), &files));
    }
    none_wrong(&unknown(found, "in single bytes"));
}

#[test]
fn cut_anew_repeated_with_other_cuts_and_out_of_order() {
    each_round(|segments, random, _| {
        let (one, two) = (recut(segments, random, 8, 900), recut(segments, random, 8, 1_460));
        let mut made = Vec::new();
        let mut late = two.into_iter().filter(|s| !s.payload.is_empty()).peekable();
        for s in one {
            // A second copy, cut otherwise, of what was sent before.
            while late
                .peek()
                .is_some_and(|l| l.from == s.from && l.seq.wrapping_add(l.payload.len() as u32).wrapping_sub(s.seq) > 1 << 31)
            {
                made.extend(late.next());
            }
            made.push(s);
        }
        made.extend(late);
        for window in made[3..].chunks_mut(3) {
            random.shuffle(window);
        }
        made
    });
}

/// Where the contents of a file lie in what its sender sends; small ones are not looked for.
fn place(segments: &[Segment], f: &File) -> Option<(Ipv4Addr, Range<usize>)> {
    let (client, server) = (segments[0].from, segments[0].to);
    let from = if f.action == "write" { client } else { server };
    let (bytes, _) = stream(segments, from);
    let at = bytes.windows(f.bytes.len().max(1)).position(|w| w == f.bytes)?;
    (f.bytes.len() > 100).then_some((from.0, at..at + f.bytes.len()))
}

/// A message of SMB: who sent it, where it lies in what they send, and the id that request and answer share.
struct Message {
    from: Ipv4Addr,
    range: Range<usize>,
    id: Vec<u8>,
}

/// All messages of both sides.
fn messages(segments: &[Segment]) -> Vec<Message> {
    let mut all = Vec::new();
    for from in [segments[0].from, segments[0].to] {
        let (bytes, _) = stream(segments, from);
        let mut at = 0;
        while at + 4 <= bytes.len() {
            let end = at + 4 + u32::from_be_bytes([0, bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
            let head = &bytes[at + 4..end];
            // The message id of SMB2, and the process and multiplex ids of SMB1.
            let id = if head.starts_with(b"\xfeSMB") { &head[24..32] } else { head.get(26..34).unwrap_or_default() };
            all.push(Message { from: from.0, range: at..end, id: id.to_vec() });
            at = end;
        }
    }
    all
}

/// How many bytes of a file cannot be had without the messages that a lost range touches: theirs, and those of their answers.
fn touched_bytes(messages: &[Message], from: Ipv4Addr, lost: &Range<usize>) -> usize {
    let touches = |m: &&Message| m.from == from && m.range.start < lost.end && lost.start < m.range.end;
    let ids: Vec<&[u8]> = messages.iter().filter(touches).map(|m| m.id.as_slice()).collect();
    messages.iter().filter(|m| ids.contains(&m.id.as_slice())).map(|m| m.range.len()).sum()
}

/// How many bytes of a file no object shows that may be of it.
fn unseen(objects: &[Object], f: &File) -> usize {
    let mut seen = vec![false; f.bytes.len()];
    let may_be = |o: &&Object| ["", f.path.as_str()].contains(&text(&o.entry, "path")) && is_of(o, f);
    objects.iter().filter(may_be).flat_map(Object::seen).for_each(|r| seen[r].fill(true));
    seen.iter().filter(|s| !**s).count()
}

#[test]
fn one_lost_segment_leaves_a_hole_just_where_it_was() {
    let mut wrong = Vec::new();
    let (mut exact, mut untouched, mut touched) = (0, 0, 0);
    for name in CAPTURES {
        let (segments, files) = truth(name);
        let messages = messages(&segments);
        let places: Vec<_> = files.iter().map(|f| place(&segments, f)).collect();
        assert!(places.iter().flatten().count() >= 3, "{name}: contents in one piece");
        for (at, lost) in segments.iter().enumerate() {
            let made: Vec<Segment> = segments.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, s)| s.clone()).collect();
            let id = format!("{name} without segment {} of {} bytes", at + 1, lost.payload.len());
            if lost.payload.is_empty() {
                wrong.extend(all_whole(&id, &made, &files));
                continue;
            }
            let objects = export(&write(&made));
            wrong.extend(lies(&objects, &files).into_iter().map(|w| format!("{id}: {w}")));
            let (_, first) = stream(&segments, lost.from);
            let begin = lost.seq.wrapping_sub(first) as usize;
            let range = begin..begin + lost.payload.len();
            for (f, place) in files.iter().zip(&places) {
                let inside =
                    place.as_ref().filter(|(from, p)| *from == lost.from.0 && p.start <= range.start && range.end <= p.end);
                if let Some((_, p)) = inside {
                    // Nothing but bytes of this file: just those are missing, and it is known what is whose.
                    let hole = ((range.start - p.start) as u64, (range.end - p.start) as u64);
                    let o = objects.iter().find(|o| o.entry["path"] == f.path.as_str() && o.entry["action"] == f.action.as_str());
                    let why = o.map(|o| list(&o.entry, "missing").iter().map(|m| text(m, "why").to_owned()).collect::<Vec<_>>());
                    let fits = o.is_some_and(|o| {
                        o.missing() == [hole] && o.entry["complete"] == false && o.entry["size"] == f.bytes.len()
                    });
                    if !fits || why != Some(vec!["lost".to_owned()]) {
                        wrong.push(format!(
                            "{id}: {} should lack {hole:?}: {:?} {:?}",
                            f.path,
                            o.map(Object::named),
                            o.map(Object::missing)
                        ));
                    }
                    exact += 1;
                } else if !f.open.contains(&at) {
                    // Before it was opened, or after it was closed: the bytes are all there. What a set-up told can be gone.
                    let found = objects.iter().any(|o| o.entry["complete"] == true && is_of(o, f) && o.bytes == f.bytes);
                    if !found {
                        let near: Vec<String> = objects.iter().map(Object::named).collect();
                        wrong.push(format!("{id}: {} is not whole, open {:?}: {near:?}", f.path, f.open));
                    }
                    untouched += 1;
                } else {
                    // A header or a request: at most what the messages touched had to say is not there.
                    let (gone, most) = (unseen(&objects, f), touched_bytes(&messages, lost.from.0, &range));
                    if gone > most {
                        let near: Vec<String> = objects.iter().map(Object::named).collect();
                        wrong.push(format!("{id}: {gone} bytes of {} are gone, of {most} touched: {near:?}", f.path));
                    }
                    touched += 1;
                }
            }
        }
    }
    none_wrong(&wrong);
    assert!(
        exact >= 12 && untouched > 300 && touched > 30,
        "{exact} exact holes, {untouched} files untouched, {touched} touched"
    );
}

/// A copy with a wrong checksum was handed on, and then came the right one.
#[test]
fn the_copy_whose_checksum_is_right_counts() {
    let mut wrong = Vec::new();
    let mut exact = 0;
    for name in CAPTURES {
        let (segments, files) = truth(name);
        let places: Vec<_> = files.iter().map(|f| place(&segments, f)).collect();
        for (at, s) in segments.iter().enumerate().filter(|(_, s)| !s.payload.is_empty()) {
            let byte = s.payload.len() * 2 / 3;
            let (_, first) = stream(&segments, s.from);
            let stands = s.seq.wrapping_sub(first) as usize + byte;
            for (f, place) in files.iter().zip(&places) {
                let Some((_, p)) = place.as_ref().filter(|(from, p)| *from == s.from.0 && p.contains(&stands)) else { continue };
                let id = format!("{name} with a spoilt copy of segment {}", at + 1);
                let objects = export(&write_with_spoilt(&segments, at, byte));
                wrong.extend(lies(&objects, &files).into_iter().map(|w| format!("{id}: {w}")));
                let of = |o: &&Object| o.entry["path"] == f.path.as_str() && o.entry["action"] == f.action.as_str();
                let from = (stands - p.start) as u64;
                let is_right = |o: &Object| {
                    let conflicts = list(&o.entry, "conflicts");
                    o.bytes == f.bytes
                        && o.entry["complete"] == false
                        && conflicts.iter().map(|c| (c["from"].as_u64(), c["to"].as_u64())).eq([(Some(from), Some(from + 1))])
                };
                if !objects.iter().find(of).is_some_and(is_right) {
                    let near = objects.iter().filter(of).map(|o| format!("{} {}", o.named(), o.entry["conflicts"]));
                    wrong.push(format!("{id}: {} at {from}: {:?}", f.path, near.collect::<Vec<_>>()));
                }
                exact += 1;
            }
        }
    }
    none_wrong(&wrong);
    assert!(exact >= 12, "{exact} spoilt copies of file bytes");
}

/// From each packet on: what was opened later is whole, and of what was open no byte is wrong.
#[test]
fn a_late_start_loses_what_was_before_it() {
    let mut wrong = Vec::new();
    for name in CAPTURES {
        let (segments, files) = truth(name);
        for start in 1..segments.len() {
            let id = format!("{name} from segment {}", start + 1);
            let objects = export(&write(&segments[start..]));
            wrong.extend(lies(&objects, &files).into_iter().map(|w| format!("{id}: {w}")));
            for f in files.iter().filter(|f| f.open.start >= start) {
                if !objects
                    .iter()
                    .any(|o| o.entry["complete"] == true && o.entry["path"] == f.path.as_str() && o.bytes == f.bytes)
                {
                    let near: Vec<String> = objects.iter().map(Object::named).collect();
                    wrong.push(format!("{id}: {} is not whole, open {:?}: {near:?}", f.path, f.open));
                }
            }
        }
    }
    none_wrong(&wrong);
}

/// Of the client alone the writes are there, unconfirmed; read answers without their requests have no place and are never guessed.
#[test]
fn one_direction_tells_what_it_can() {
    let mut wrong = Vec::new();
    for name in CAPTURES {
        let (segments, files) = truth(name);
        let client = segments[0].from;
        for from_client in [true, false] {
            let id = format!("{name}, from the client is {from_client}");
            let made: Vec<Segment> = segments.iter().filter(|s| (s.from == client) == from_client).cloned().collect();
            let objects = export(&write(&made));
            wrong.extend(lies(&objects, &files).into_iter().map(|w| format!("{id}: {w}")));
            for f in files.iter().filter(|f| f.action == "write" && f.bytes.len() > 1 && from_client) {
                let sha = sha256(&f.bytes);
                let found = objects.iter().find(|o| text(&o.entry, "sha256_seen") == sha && o.entry["action"] == "write");
                if found.is_none_or(|o| o.entry["unconfirmed"] != true) {
                    wrong.push(format!("{id}: {}: {:?}", f.path, objects.iter().map(Object::named).collect::<Vec<_>>()));
                }
            }
            if !from_client && objects.iter().any(|o| o.seen().next().is_some()) {
                wrong.push(format!("{id}: {:?}", objects.iter().map(Object::named).collect::<Vec<_>>()));
            }
        }
    }
    none_wrong(&wrong);
}

// ---------------------------------------------------------------- a capture of SMB, copied over SMB

/// An SMB2 message ([MS-SMB2] 2.2.1.2) behind its length.
fn smb2(command: u16, is_answer: bool, id: u64, body: &[u8]) -> Vec<u8> {
    let mut o = (64 + body.len() as u32).to_be_bytes().to_vec();
    o.extend(b"\xfeSMB");
    o.extend(64_u16.to_le_bytes());
    o.extend(1_u16.to_le_bytes());
    o.extend(0_u32.to_le_bytes());
    o.extend(command.to_le_bytes());
    o.extend(32_u16.to_le_bytes());
    o.extend(u32::from(is_answer).to_le_bytes());
    o.extend(0_u32.to_le_bytes());
    o.extend(id.to_le_bytes());
    o.extend(0xfeff_u32.to_le_bytes());
    o.extend(5_u32.to_le_bytes());
    o.extend(0x4_0000_0000_0031_u64.to_le_bytes());
    o.extend([0; 16]);
    o.extend(body);
    o
}

const NAME: &str = "copy.pcap";
const FILE_ID: [u8; 16] = *b"\x11\0\0\0\0\0\0\0\x22\0\0\0\0\0\0\0";

/// `contents` written as one file in WRITEs of `piece` bytes.
fn copied(contents: &[u8], piece: usize) -> Vec<Segment> {
    copied_as(NAME, contents, piece)
}

fn copied_as(name: &str, contents: &[u8], piece: usize) -> Vec<Segment> {
    let mut talk = Talk::new((v4("10.50.1.1"), 40_001), (v4("10.50.1.2"), 445));
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    // CREATE: overwrite or create, with the right to write.
    let mut body = [57_u16.to_le_bytes().as_slice(), &[0, 0], &2_u32.to_le_bytes(), &[0; 16]].concat();
    for word in [0x0012_0196_u32, 0x80, 0, 5, 0x40] {
        body.extend(word.to_le_bytes());
    }
    body.extend(120_u16.to_le_bytes());
    body.extend((name.len() as u16).to_le_bytes());
    body.extend([0; 8]);
    body.extend(&name);
    talk.send(0, &smb2(5, false, 10, &body));
    let times_and_sizes = |size: u64| [&[0; 32][..], &size.to_le_bytes(), &size.to_le_bytes(), &0x20_u32.to_le_bytes()].concat();
    let answer =
        [&89_u16.to_le_bytes()[..], &[0, 0], &2_u32.to_le_bytes(), &times_and_sizes(0), &[0; 4], &FILE_ID, &[0; 8]].concat();
    talk.send(1, &smb2(5, true, 10, &answer));
    let mut id = 10;
    for (i, data) in contents.chunks(piece).enumerate() {
        id += 1;
        let (at, len) = ((i * piece) as u64, data.len() as u32);
        let head = [&49_u16.to_le_bytes()[..], &112_u16.to_le_bytes(), &len.to_le_bytes(), &at.to_le_bytes(), &FILE_ID, &[0; 16]]
            .concat();
        talk.send(0, &smb2(9, false, id, &[head.as_slice(), data].concat()));
        talk.send(1, &smb2(9, true, id, &[&17_u16.to_le_bytes()[..], &[0, 0], &len.to_le_bytes(), &[0; 8]].concat()));
    }
    id += 1;
    talk.send(0, &smb2(6, false, id, &[&24_u16.to_le_bytes()[..], &1_u16.to_le_bytes(), &[0; 4], &FILE_ID].concat()));
    let size = contents.len() as u64;
    talk.send(
        1,
        &smb2(6, true, id, &[&60_u16.to_le_bytes()[..], &1_u16.to_le_bytes(), &[0; 4], &times_and_sizes(size)].concat()),
    );
    talk.segments
}

/// In a tree that was not seen: what a file is its content says, and not that pipes have such names.
#[test]
fn a_file_with_the_name_of_a_pipe_is_a_file() {
    for name in ["winreg", "srvsvc", "spoolss"] {
        let contents = b"no call of RPC".to_vec();
        let segments = copied_as(name, &contents, 4_096);
        let files = [File { action: "write".to_owned(), path: name.to_owned(), bytes: contents, open: 0..0 }];
        none_wrong(&all_whole(name, &segments, &files));
    }
}

/// After a gap SMB is looked for anew, in the middle of a file that is full of it.
#[test]
fn a_capture_of_smb_copied_over_smb_with_loss_fools_nobody() {
    let mut wrong = Vec::new();
    let mut partial = 0;
    for (inner, piece) in [("smb2-10", 65_536), ("smb2-10", 4_096), ("smb1-nt1", 65_536), ("smb1-nt1", 4_096)] {
        let contents = fs::read(own_folder().join(format!("{inner}.pcap"))).unwrap();
        let segments = copied(&contents, piece);
        let file = File { action: "write".to_owned(), path: NAME.to_owned(), bytes: contents, open: 0..0 };
        let files = [file];
        wrong.extend(all_whole(&format!("{inner} in {piece}"), &segments, &files));
        let mut judge = |id: String, made: &[Segment]| {
            let objects = export(&write(made));
            partial += objects.iter().filter(|o| o.entry["complete"] == false).count();
            wrong.extend(lies(&objects, &files).into_iter().map(|w| format!("{id}: {w}")));
            for o in objects.iter().filter(|o| o.entry["path"] != NAME && !text(&o.entry, "name").contains("1100000000000000")) {
                wrong.push(format!("{id}: {} is of the inner capture", o.named()));
            }
        };
        for round in 0..ROUNDS {
            let mut random = Random(round + 1);
            let lost = |random: &mut Random, s: &Segment| !s.payload.is_empty() && random.one_in(2 + round % 9);
            let made: Vec<Segment> = segments.iter().filter(|s| !lost(&mut random, s)).cloned().collect();
            judge(format!("{inner} in {piece}, loss {round}"), &made);
        }
        // Each first packet of a WRITE gone, with its header; and all of the beginning.
        let without: Vec<Segment> =
            segments.iter().filter(|s| s.payload.get(4..8) != Some(b"\xfeSMB".as_slice())).cloned().collect();
        judge(format!("{inner} in {piece}, without headers"), &without);
        for start in (4..segments.len()).step_by(3) {
            judge(format!("{inner} in {piece}, from {start}"), &segments[start..]);
        }
    }
    none_wrong(&unknown(wrong, "copied"));
    assert!(partial > 50, "{partial} objects with holes");
}
