//! Random runs against naive models in memory.

use super::*;
use proptest::prelude::*;

/// Small limits make everything happen: contents go to files after a few bytes.
fn limits(memory: usize) -> Limits {
    Limits { memory_per_content: memory, files_open: 2, ..Limits::default() }
}

fn put(state: &mut Vec<Option<u8>>, offset: usize, bytes: impl IntoIterator<Item = Option<u8>>) {
    for (at, byte) in bytes.into_iter().enumerate() {
        if state.len() <= offset + at {
            state.resize(offset + at + 1, None);
        }
        state[offset + at] = byte;
    }
}

fn trimmed(mut state: Vec<Option<u8>>) -> Vec<Option<u8>> {
    while state.last() == Some(&None) {
        state.pop();
    }
    state
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
    cuts: Vec<usize>,
    /// 0 refused, 1 short, 2 unanswered, else all.
    fate: u8,
    /// One piece lost.
    lost: Option<usize>,
    answer_after: usize,
}

fn write() -> impl Strategy<Value = Write> {
    let bytes = prop::collection::vec(0u8..3, 1..40);
    (0usize..120, bytes, prop::collection::vec(0usize..40, 0..3), 0u8..8, prop::option::weighted(0.15, 0usize..3), 0usize..6)
        .prop_map(|(offset, bytes, mut cuts, fate, lost, answer_after)| {
            cuts.retain(|c| *c < bytes.len());
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            Write { offset, bytes, cuts, fate, lost, answer_after }
        })
}

impl Write {
    fn written(&self) -> Option<usize> {
        match self.fate {
            0 => Some(0),
            1 => Some(self.bytes.len() / 2),
            2 => None,
            _ => Some(self.bytes.len()),
        }
    }

    fn send(&self, script: &mut Script) -> OperationId {
        let operation = script.operation();
        for (i, cut) in self.cuts.windows(2).enumerate() {
            let offset = (self.offset + cut[0]) as u64;
            if self.lost == Some(i) {
                let length = (cut[1] - cut[0]) as u64;
                script.tell(&What::DataLost { open: OPEN, action: Action::Write, operation, offset, length });
            } else {
                script.data(OPEN, Action::Write, operation, offset, &self.bytes[cut[0]..cut[1]]);
            }
        }
        operation
    }

    fn answer(&self, script: &mut Script, operation: OperationId) {
        let written = self.written().map(|w| w as u64);
        script.written(OPEN, operation, self.offset as u64, self.bytes.len() as u64, written);
    }

    /// What it does to a file, as far as it can be known.
    fn effect(&self) -> Vec<Option<u8>> {
        let count = self.written().unwrap_or(self.bytes.len());
        let mut effect: Vec<Option<u8>> = self.bytes.iter().map(|b| Some(*b)).collect();
        for (i, cut) in self.cuts.windows(2).enumerate() {
            if self.lost == Some(i) {
                effect[cut[0]..cut[1]].fill(None);
            }
        }
        effect.truncate(count);
        effect
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// One WRITE after the other: every version is the state between two overwrites.
    #[test]
    fn writes_one_by_one(writes in prop::collection::vec(write(), 0..14), memory in prop::sample::select(vec![0usize, 30, 1000])) {
        let mut script = Script::with(limits(memory));
        script.opened(OPEN, 1, 500);
        let mut versions: Vec<Vec<Option<u8>>> = Vec::new();
        let mut state = Vec::new();
        for write in &writes {
            let operation = write.send(&mut script);
            write.answer(&mut script, operation);
            let effect = write.effect();
            let changes = effect.iter().enumerate().any(|(i, new)| {
                let old: Option<u8> = state.get(write.offset + i).copied().flatten();
                old.is_some() && *new != old
            });
            if changes {
                versions.push(trimmed(state.clone()));
            }
            put(&mut state, write.offset, effect);
        }
        versions.push(trimmed(state));
        script.close(OPEN);
        let (transfers, folder) = script.end();
        let happened = writes.iter().any(|w| w.written() != Some(0) && !w.effect().is_empty());
        if !happened {
            prop_assert!(transfers.is_empty());
            return Ok(());
        }
        prop_assert_eq!(transfers.len(), versions.len().min(16));
        if versions.len() <= 16 {
            for (transfer, version) in transfers.iter().zip(&versions) {
                prop_assert_eq!(&bytes_of(transfer), version);
            }
        }
        prop_assert!(transfers.iter().enumerate().all(|(i, t)| t.version as usize == i + 1 || versions.len() > 16));
        drop(folder);
    }

    /// Many at once, answered in any order: the last version is what they make in the order they were sent.
    #[test]
    fn writes_side_by_side(writes in prop::collection::vec(write(), 1..14), memory in prop::sample::select(vec![0usize, 30, 1000]), versions in 1u32..4) {
        let mut script = Script::with(Limits { versions, ..limits(memory) });
        script.opened(OPEN, 1, 500);
        let mut waiting: Vec<(usize, OperationId, &Write)> = Vec::new();
        let mut state = Vec::new();
        for write in &writes {
            for w in &mut waiting {
                w.0 = w.0.saturating_sub(1);
            }
            let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|w| w.0 == 0);
            waiting = later;
            for (_, operation, w) in now.into_iter().rev() {
                w.answer(&mut script, operation);
            }
            let operation = write.send(&mut script);
            waiting.push((write.answer_after, operation, write));
            put(&mut state, write.offset, write.effect());
        }
        // Some are never told to be done.
        for (n, operation, w) in waiting {
            if w.written().is_some() || n % 2 == 0 {
                w.answer(&mut script, operation);
            }
        }
        script.close(OPEN);
        let (transfers, folder) = script.end();
        if let Some(last) = transfers.last() {
            prop_assert_eq!(bytes_of(last), trimmed(state));
            let unanswered = writes.iter().any(|w| w.written().is_none());
            prop_assert!(unanswered || !last.unconfirmed);
            prop_assert!(transfers.len() <= versions as usize);
        }
        prop_assert!(std::fs::read_dir(folder.path()).unwrap().count() <= transfers.len() + 1, "nothing is left over");
    }

    /// Reads of a file that changes: the newest version never contradicts what was read last, and holds all that was read since it began.
    #[test]
    fn reads_of_a_changing_file(
        steps in prop::collection::vec((0usize..60, 1usize..40, prop::option::weighted(0.2, (0usize..100, 0u8..255)), 1usize..40), 1..40),
        memory in prop::sample::select(vec![0usize, 30, 1000]),
    ) {
        let mut script = Script::with(limits(memory));
        let mut file: Vec<u8> = (0..100).map(|i| i as u8).collect();
        script.opened(OPEN, 1, 100);
        let mut latest = [None; 100];
        for (offset, length, change, cut) in &steps {
            if let Some((at, value)) = change {
                file[*at] = *value;
            }
            let bytes = &file[*offset..(offset + length).min(100)];
            let operation = script.operation();
            for (i, piece) in bytes.chunks(*cut).enumerate() {
                script.data(OPEN, Action::Read, operation, (offset + i * cut) as u64, piece);
            }
            for (i, byte) in bytes.iter().enumerate() {
                latest[offset + i] = Some(*byte);
            }
        }
        script.close(OPEN);
        let (transfers, _folder) = script.end();
        let last = bytes_of(transfers.last().unwrap());
        for (at, byte) in last.iter().enumerate() {
            prop_assert!(byte.is_none() || *byte == latest[at], "at {}", at);
        }
        // Where nothing ever differed, all that was read is there.
        for (at, byte) in latest.iter().enumerate().filter(|l| l.1.is_some() && transfers.len() == 1 && transfers[0].versions == 1) {
            prop_assert_eq!(last.get(at).copied().flatten(), *byte);
        }
        for pair in transfers.windows(2) {
            prop_assert!(pair[0].version < pair[1].version);
        }
    }
}
