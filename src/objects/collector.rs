//! The parsing thread's side: takes what SMB tells, hands it over in batches, and gives back transfers as they are finished.
//!
//! | thread | does | waits for |
//! |---|---|---|
//! | the caller's | copies bytes into batches | an empty batch, where all are on the way |
//! | `objects-forming` | ranges, versions, comparing, writing contents at their offsets | the caller, the disk |
//! | `objects-hashing` | hashes, media types, moving contents to their names | forming, the disk |

use super::disk::Scratch;
use super::error::StoreError;
use super::forming::Forming;
use super::hashing::{Hashes, Hashing};
use super::job::Job;
use super::limits::Limits;
use super::missing::Span;
use super::note::{Batch, Note, Of};
use super::transfer::Transfer;
use super::versions::Carried;
use crate::smb::event::{Action, Context, OpenId, Opened, OperationId, What};
use crate::time::Window;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Bytes of a batch: large enough that handing it over costs nothing, small enough to stay in the cache.
const BATCH_BYTES: usize = 256 << 10;
/// Notes of a batch: about as many bytes as its contents.
const BATCH_NOTES: usize = 2_048;

/// How objects are formed.
#[derive(Clone, Debug)]
pub struct ObjectOptions {
    /// The folder of contents, which is there: finished contents lie in it under their ids, forming ones in a folder inside of it that is
    /// removed at the end.
    pub folder: PathBuf,
    /// The bounds.
    pub limits: Limits,
    /// Which hashes are wanted beside SHA-256.
    pub hashes: Hashes,
    /// Whether to write which packet carried which bytes, as JSON lines into the folder: `packets-OPEN-read.jsonl`, `packets-OPEN-write.jsonl`.
    pub provenance: bool,
    /// Whether contents are kept in the folder. If not, those that do not fit into memory are still written to temporary files while they form:
    /// a later read or write may need them for comparing.
    pub keep_contents: bool,
    /// In which window of packets bytes are counted (`bytes_in_window`).
    pub window: Option<Window>,
}

/// Forms objects from what SMB tells.
#[derive(Debug)]
pub struct Objects {
    batch: Batch,
    batches_made: usize,
    batches_max: usize,
    to_forming: Option<Sender<Batch>>,
    empty: Receiver<Batch>,
    done: Receiver<Transfer>,
    failure: Arc<Mutex<Option<StoreError>>>,
    threads: Vec<JoinHandle<()>>,
    folder: PathBuf,
    provenance: bool,
    window: Option<Window>,
    unsettled: bool,
}

impl Objects {
    /// Starts the two threads.
    pub fn new(options: ObjectOptions) -> Result<Objects, StoreError> {
        let ObjectOptions { folder, limits, hashes, provenance, keep_contents, window } = options;
        let scratch = Arc::new(Scratch::new(&folder)?);
        let mut forming = Forming::new(scratch.clone(), limits, provenance.then(|| folder.clone()), window.is_some());
        let mut hashing = Hashing::new(hashes, keep_contents.then(|| folder.clone()), scratch, limits.offset_max);
        let (to_forming, batches) = channel::<Batch>();
        let (to_hashing, jobs) = channel::<(Batch, Vec<Job>)>();
        let (to_empty, empty) = channel();
        let (to_done, done) = channel();
        let failure = Arc::new(Mutex::new(None));
        let (failed_forming, failed_hashing) = (failure.clone(), failure.clone());
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(String::from(name))
                .spawn(work)
                .map_err(|e| StoreError::io("start a thread to write into", &folder, e))
        };
        let forming = start(
            "objects-forming",
            Box::new(move || {
                while let Ok(mut batch) = batches.recv() {
                    let mut jobs = Vec::new();
                    if let Err(error) = forming.take(&mut batch, &mut jobs) {
                        return fail(&failed_forming, error);
                    }
                    if to_hashing.send((batch, jobs)).is_err() {
                        return;
                    }
                }
            }),
        )?;
        let hashing = start(
            "objects-hashing",
            Box::new(move || {
                while let Ok((mut batch, jobs)) = jobs.recv() {
                    for job in jobs {
                        match hashing.work(job, &batch.bytes) {
                            // Nobody is there to take it only while all is being dropped.
                            Ok(Some(transfer)) => drop(to_done.send(transfer)),
                            Ok(None) => {}
                            Err(error) => return fail(&failed_hashing, error),
                        }
                    }
                    batch.clear();
                    drop(to_empty.send(batch));
                }
            }),
        )?;
        Ok(Objects {
            batch: Batch::default(),
            batches_made: 1,
            batches_max: (limits.queue_bytes / BATCH_BYTES).max(4),
            to_forming: Some(to_forming),
            empty,
            done,
            failure,
            threads: vec![forming, hashing],
            folder,
            provenance,
            window,
            unsettled: false,
        })
    }

    /// Takes one event. Those that do not concern files are passed over; pipes are not told apart: give none, or tell
    /// [`not_a_file`](Self::not_a_file).
    pub fn take(&mut self, context: &Context, what: &What<'_>) -> Result<(), StoreError> {
        if let What::Data { open, action, operation, offset, bytes } = what {
            let of = Of { connection: context.connection, session: context.session, tree: context.tree, at: context.at };
            return self.data(context, (*open, of, *action, *operation), *offset, bytes);
        }
        match self.note_of(context, what) {
            Some(note) => self.note(note),
            None => Ok(()),
        }
    }

    /// Whether there are connections now of which it is not known yet whether they carry SMB, or of which sessions.
    pub fn set_unsettled(&mut self, unsettled: bool) {
        self.unsettled = unsettled;
    }

    /// Takes what is told of an open after its close: it counts where that open still waits for other connections of its session.
    pub fn take_late(&mut self, context: &Context, open: OpenId, what: &What<'_>) -> Result<(), StoreError> {
        match self.note_of(context, what) {
            Some(note) => self.note(Note::Late { open, note: Box::new(note) }),
            None => Ok(()),
        }
    }

    fn note_of(&mut self, context: &Context, what: &What<'_>) -> Option<Note> {
        let of = Of { connection: context.connection, session: context.session, tree: context.tree, at: context.at };
        let note = match what {
            What::Opened { open, file } => {
                self.batch.strings += strings(file);
                Note::Opened { open: *open, of, file: Box::new(file.clone()) }
            }
            What::DataLost { open, action, operation, offset, length } => {
                Note::Lost { open: *open, of, action: *action, operation: *operation, offset: *offset, length: *length }
            }
            What::ReadAsked { open, operation, offset, length } => {
                Note::ReadAsked { open: *open, of, operation: *operation, offset: *offset, length: *length }
            }
            What::ReadDone { open, operation, offset, asked, given, status } => Note::ReadDone {
                open: *open,
                operation: *operation,
                offset: *offset,
                asked: *asked,
                given: *given,
                status: *status,
            },
            What::WriteDone { open, operation, offset, sent, written } => {
                Note::WriteDone { open: *open, of, operation: *operation, offset: *offset, sent: *sent, written: *written }
            }
            What::Size { open, size, from } => Note::Size { open: *open, size: *size, from: *from, at: context.at },
            What::Renamed { open, to } => {
                self.batch.strings += to.len();
                Note::Renamed { open: *open, to: to.clone() }
            }
            What::Deleted { open: Some(open), .. } => Note::Deleted { open: *open },
            What::ServerCopy { open, source, offset, length, fsctl } => {
                Note::ServerCopy { open: *open, of, source: *source, offset: *offset, length: *length, fsctl: *fsctl }
            }
            What::Closed { open, status, by_close } => {
                Note::Closed { open: *open, status: *status, at: by_close.then_some(context.at), unsettled: self.unsettled }
            }
            What::Sealed { .. } => Note::Sealed { of },
            What::Channel { session } => Note::Channel { of, session: *session },
            What::RequestsLost => Note::RequestsLost { of },
            _ => return None,
        };
        Some(note)
    }

    fn data(
        &mut self,
        context: &Context,
        whose: (OpenId, Of, Action, OperationId),
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let carried = Carried {
            first: context.at,
            last: context.at,
            packets: 1,
            in_window: self.window.is_some_and(|window| window.contains(context.at.time)),
            encrypted: context.encrypted,
            compressed: context.compressed,
        };
        let (mut rest, mut at) = (bytes, offset);
        while !rest.is_empty() {
            let room = BATCH_BYTES.saturating_sub(self.batch.bytes.len()).max(1);
            let (now, later) = rest.split_at(room.min(rest.len()));
            // An offset beyond all files stays there.
            self.batch.data(whose, at, now, carried, self.provenance);
            at = at.saturating_add(now.len() as u64);
            rest = later;
            self.hand_over_full()?;
        }
        Ok(())
    }

    fn note(&mut self, note: Note) -> Result<(), StoreError> {
        self.batch.notes.push(note);
        self.hand_over_full()
    }

    fn hand_over_full(&mut self) -> Result<(), StoreError> {
        let batch = &self.batch;
        match batch.bytes.len() >= BATCH_BYTES
            || batch.notes.len() >= BATCH_NOTES
            || batch.strings >= BATCH_BYTES
            || batch.packets.len() >= BATCH_NOTES
        {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Bytes of a file of which the capture holds differing copies: `[from, to)` is an offset range in the file.
    pub fn conflict(&mut self, open: OpenId, action: Action, from: u64, to: u64) -> Result<(), StoreError> {
        self.note(Note::Conflict { open, action, range: Span { from, to } })
    }

    /// Bytes of a file that were given are others: those of a copy whose checksum alone is right.
    pub fn replace(
        &mut self,
        open: OpenId,
        (action, operation): (Action, OperationId),
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(bytes);
        self.note(Note::Replaced { open, action, operation, offset, start, end: start + bytes.len() })
    }

    /// An open turned out to be a pipe or the like: it gives no objects, whatever came of it and comes.
    pub fn not_a_file(&mut self, open: OpenId) -> Result<(), StoreError> {
        self.note(Note::Forget { open })
    }

    /// Hands over what is held back for the sake of speed, so that transfers that are closed get finished without more coming.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        if self.batch.notes.is_empty() {
            return Ok(());
        }
        let next = match self.empty.try_recv() {
            Ok(batch) => Some(batch),
            Err(_) if self.batches_made < self.batches_max => {
                self.batches_made += 1;
                Some(Batch { bytes: Vec::with_capacity(BATCH_BYTES), ..Batch::default() })
            }
            Err(_) => self.empty.recv().ok(),
        };
        let Some(next) = next else { return Err(self.failed()) };
        let full = std::mem::replace(&mut self.batch, next);
        match &self.to_forming {
            Some(to_forming) if to_forming.send(full).is_ok() => Ok(()),
            _ => Err(self.failed()),
        }
    }

    /// Transfers that were finished since this was last asked; without waiting. Those of one open come together, reads before writes, in the
    /// order of their versions; opens in the order in which they were closed. Ask often: what is finished is held until then.
    pub fn finished(&mut self) -> Vec<Transfer> {
        self.done.try_iter().collect()
    }

    /// Everything that is still open ends here: gives the rest of the transfers, each as soon as it is finished.
    pub fn end(mut self, take: impl FnMut(Transfer)) -> Result<(), StoreError> {
        self.batch.notes.push(Note::End);
        self.flush()?;
        self.to_forming = None;
        // Until the hashing thread has ended.
        self.done.iter().for_each(take);
        let mut died = false;
        for thread in std::mem::take(&mut self.threads) {
            died |= thread.join().is_err();
        }
        if died || self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(self.failed());
        }
        Ok(())
    }

    fn failed(&self) -> StoreError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.unwrap_or_else(|| StoreError::Stopped { path: self.folder.clone() })
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        self.to_forming = None;
        for thread in std::mem::take(&mut self.threads) {
            // What it died of was told, or nobody wants to know any more.
            let _ = thread.join();
        }
    }
}

fn fail(failure: &Mutex<Option<StoreError>>, error: StoreError) {
    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn strings(file: &Opened) -> usize {
    file.name.as_ref().map_or(0, String::len) + file.stream.as_ref().map_or(0, String::len) + file.file_id.len()
}
