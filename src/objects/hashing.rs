//! The hashing thread's work: bytes in order as they come, and contents finished: hashed to the end, named, put to their place.

use super::content_id::{PARTIAL_PREFIX, partial_id};
use super::disk::{Formed, PIECE_BYTES, Scratch, read_at};
use super::error::StoreError;
use super::job::{Finish, Job};
use super::mime;
use super::transfer::{Content, Transfer};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which hashes are wanted beside SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Hashes {
    /// MD5.
    pub md5: bool,
    /// SHA-1.
    pub sha1: bool,
}

/// Hashes contents and finishes them.
pub(super) struct Hashing {
    under_way: HashMap<u64, Running>,
    hashes: Hashes,
    /// Where finished contents go; `None` where they are not kept.
    folder: Option<PathBuf>,
    scratch: Arc<Scratch>,
    offset_max: u64,
    piece: Vec<u8>,
}

#[derive(Clone)]
struct Running {
    sha256: Sha256,
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    bytes: u64,
}

impl Running {
    fn new(hashes: Hashes) -> Running {
        Running { sha256: Sha256::new(), md5: hashes.md5.then(Md5::new), sha1: hashes.sha1.then(Sha1::new), bytes: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        self.bytes += bytes.len() as u64;
    }
}

impl Hashing {
    /// Nothing under way. Finished contents go to `folder`, which is on the file system of `scratch`.
    pub(super) fn new(hashes: Hashes, folder: Option<PathBuf>, scratch: Arc<Scratch>, offset_max: u64) -> Hashing {
        Hashing { under_way: HashMap::new(), hashes, folder, scratch, offset_max, piece: vec![0; PIECE_BYTES] }
    }

    /// Does one thing; `bytes` are those of the batch it came with. Returns a transfer that is finished by it.
    pub(super) fn work(&mut self, job: Job, bytes: &[u8]) -> Result<Option<Transfer>, StoreError> {
        match job {
            Job::Bytes { content, start, end } => {
                let running = self.under_way.entry(content).or_insert_with(|| Running::new(self.hashes));
                running.update(bytes.get(start..end).unwrap_or_default());
            }
            Job::File { content, path, from, to } => {
                let mut running = self.under_way.remove(&content).unwrap_or_else(|| Running::new(self.hashes));
                let file = File::open(&path).map_err(|e| StoreError::io("open", &path, e))?;
                self.read_on(&mut running, &path, &file, from, to)?;
                self.under_way.insert(content, running);
            }
            Job::StartOver { content } => {
                self.under_way.remove(&content);
            }
            Job::Finish(finish) => return self.finish(*finish).map(Some),
        }
        Ok(None)
    }

    fn read_on(&mut self, running: &mut Running, path: &Path, file: &File, from: u64, to: u64) -> Result<(), StoreError> {
        let mut at = from;
        while at < to {
            let length = usize::try_from(to - at).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let piece = self.piece.get_mut(..length).unwrap_or_default();
            read_at(file, at, piece).map_err(|e| StoreError::io("read", path, e))?;
            running.update(piece);
            at += length as u64;
        }
        Ok(())
    }

    fn finish(&mut self, finish: Finish) -> Result<Transfer, StoreError> {
        let Finish { content, hashed, formed, seen, mut transfer } = finish;
        let running = self.under_way.remove(&content).filter(|running| running.bytes == hashed);
        let mut running = running.unwrap_or_else(|| Running::new(self.hashes));
        let begun = running.bytes;
        let head_bytes =
            seen.first().filter(|s| s.0 == 0).map_or(0, |s| usize::try_from(s.1).unwrap_or(usize::MAX).min(mime::HEAD_BYTES));
        let mut head = vec![0; head_bytes];
        match &formed {
            Formed::Memory(held) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
                for (from, to) in &seen {
                    running.update(held.get(at((*from).max(begun))..at((*to).max(begun))).unwrap_or_default());
                }
                head.copy_from_slice(held.get(..head_bytes).unwrap_or_default());
            }
            Formed::File(path) => {
                let file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
                for (from, to) in &seen {
                    self.read_on(&mut running, path, &file, (*from).max(begun), *to)?;
                }
                read_at(&file, 0, &mut head).map_err(|e| StoreError::io("read", path, e))?;
            }
        }
        let digest: [u8; 32] = running.sha256.finalize().into();
        let sha256_seen = hex::encode(digest);
        let (mime_type, extension) = match seen.first() {
            Some((0, _)) => mime::by_content(&head),
            None if transfer.complete => mime::by_content(&[]),
            _ => mime::unknown(),
        };
        let content_id = match transfer.complete {
            true => sha256_seen.clone(),
            false => format!("{PARTIAL_PREFIX}{}", partial_id(transfer.size, &seen, &digest)),
        };
        let end = seen.last().map_or(0, |s| s.1);
        let length = transfer.size.filter(|size| *size <= self.offset_max).unwrap_or(end);
        let stored = self.put(content, formed, &content_id, length)?;
        transfer.content = Content {
            content_id,
            sha256: transfer.complete.then(|| sha256_seen.clone()),
            sha256_seen,
            md5: running.md5.map(|md5| hex::encode(md5.finalize())),
            sha1: running.sha1.map(|sha1| hex::encode(sha1.finalize())),
            seen,
            mime_type,
            extension,
            stored,
        };
        Ok(transfer)
    }

    /// Puts a content to its place, or removes it where contents are not kept or it is there already.
    fn put(&self, number: u64, formed: Formed, content_id: &str, length: u64) -> Result<Option<PathBuf>, StoreError> {
        let Some(folder) = &self.folder else {
            return match formed {
                Formed::Memory(_) => Ok(None),
                Formed::File(path) => std::fs::remove_file(&path).map(|()| None).map_err(|e| StoreError::io("remove", &path, e)),
            };
        };
        let target = folder.join(content_id);
        let there = std::fs::symlink_metadata(&target).is_ok_and(|m| m.is_file() && m.len() == length);
        let path = match formed {
            Formed::Memory(_) if there => return Ok(Some(target)),
            Formed::File(path) if there => {
                std::fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
                return Ok(Some(target));
            }
            Formed::Memory(held) => {
                let path = self.scratch.path().join(format!("{number:016x}"));
                let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
                let file = file.map_err(|e| StoreError::io("create", &path, e))?;
                file.write_all_at(&held, 0).map_err(|e| StoreError::io("write", &path, e))?;
                if held.len() as u64 != length {
                    file.set_len(length).map_err(|e| StoreError::io("set the length of", &path, e))?;
                }
                path
            }
            Formed::File(path) => {
                let file = OpenOptions::new().write(true).open(&path).map_err(|e| StoreError::io("open", &path, e))?;
                file.set_len(length).map_err(|e| StoreError::io("set the length of", &path, e))?;
                path
            }
        };
        std::fs::rename(&path, &target).map_err(|e| StoreError::io("rename", &path, e))?;
        Ok(Some(target))
    }
}
