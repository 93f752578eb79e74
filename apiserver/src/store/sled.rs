//! The embedded disk: sled, with what it takes to survive a power cut.
//!
//! `<root>/CURRENT` names the generation in use, a directory with a database. Sled's own `flush` ends in `sync_file_range`, which promises
//! nothing about the drive; so each sync is a flush and then an `fdatasync` of the database's file ([`SyncFile`]). After a failure the whole
//! store is written into the next generation and `CURRENT` is switched: nothing that failed is trusted again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::disk::{Batch, Disk, DiskError, Interner, Loaded, Replay};
use super::record;
use super::types::{Describe, Revision};

/// Sled's page cache. Everything is in memory already; this only spares re-reading pages that are being appended to.
const CACHE: u64 = 4 << 20;

/// How long to wait for another holder of the database to let go.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Makes a file survive a power cut. Replaced in tests, which model one.
pub trait SyncFile: Send {
    /// Everything written to `file` (at `path`) so far is durable when this returns.
    fn sync(&mut self, path: &Path, file: &File) -> io::Result<()>;
}

/// `fdatasync`.
pub struct Fdatasync;

impl SyncFile for Fdatasync {
    fn sync(&mut self, _: &Path, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// A directory with a sled database.
pub struct SledDisk {
    root: PathBuf,
    generation: u64,
    /// None between a failure and the generation after it.
    open: Option<Open>,
    syncer: Box<dyn SyncFile>,
    scratch: Vec<u8>,
}

struct Open {
    tree: ::sled::Db,
    path: PathBuf,
    file: File,
}

impl SledDisk {
    /// Opens `root`, making it if need be, and reads it.
    pub fn open(root: &Path, syncer: Box<dyn SyncFile>, describe: Arc<dyn Describe>) -> Result<(Self, Loaded), DiskError> {
        fs::create_dir_all(root)?;
        let generation = current(root)?;
        let fresh = generation.is_none();
        let generation = generation.unwrap_or(1);
        forget_other_generations(root, generation)?;
        let open = Open::at(&directory(root, generation))?;
        let mut disk = Self { root: root.to_owned(), generation, open: Some(open), syncer, scratch: Vec::new() };
        if fresh {
            disk.sync()?;
            switch(root, generation)?;
        }
        let loaded = disk.load(describe)?;
        Ok((disk, loaded))
    }

    fn load(&self, describe: Arc<dyn Describe>) -> Result<Loaded, DiskError> {
        let tree = &self.opened()?.tree;
        let number = |key: &[u8]| -> Result<Revision, DiskError> {
            let Some(value) = tree.get(key).map_err(words)? else { return Ok(0) };
            value.as_ref().try_into().map(Revision::from_be_bytes).map_err(|_| DiskError("a number is not one".to_owned()))
        };
        let mut replay = Replay::new(number(record::FLOOR)?, number(record::CEILING)?, describe);
        let mut interner = Interner::default();
        let mut partial: Option<(Revision, Vec<u8>)> = None;
        for entry in tree.scan_prefix(record::VERSIONS) {
            let (key, value) = entry.map_err(words)?;
            let damaged = || DiskError(format!("the record at {key:?} is damaged"));
            let (revision, chunk) = record::read_chunk_key(&key).ok_or_else(damaged)?;
            // Most records are one chunk, and are decoded where they lie.
            if chunk == 0 && record::length(&value).ok_or_else(damaged)? == value.len() {
                replay.add(record::decode(revision, &value, &mut interner).ok_or_else(damaged)?);
                continue;
            }
            if chunk == 0 {
                partial = Some((revision, Vec::new()));
            }
            let Some((at, bytes)) = partial.as_mut().filter(|(at, _)| *at == revision) else { return Err(damaged()) };
            bytes.extend_from_slice(&value);
            if record::length(bytes) == Some(bytes.len()) {
                replay.add(record::decode(*at, bytes, &mut interner).ok_or_else(damaged)?);
                partial = None;
            }
        }
        Ok(replay.finish())
    }

    fn opened(&self) -> Result<&Open, DiskError> {
        self.open.as_ref().ok_or_else(|| DiskError("the database is not open".to_owned()))
    }
}

impl Disk for SledDisk {
    fn apply(&mut self, batch: &Batch) -> Result<(), DiskError> {
        let mut changes: Vec<(Vec<u8>, Option<::sled::IVec>)> = Vec::new();
        for kept in &batch.puts {
            let version = &kept.version;
            record::encode(&mut self.scratch, kept.at, kept.kind, &version.key, &version.json)?;
            for (number, chunk) in self.scratch.chunks(record::CHUNK).enumerate() {
                changes.push((record::chunk_key(version.revision, number), Some(chunk.into())));
            }
        }
        for garbage in &batch.garbage {
            for number in 0..record::chunks_at_most(garbage.len) {
                changes.push((record::chunk_key(garbage.revision, number), None));
            }
        }
        for (key, number) in [(record::FLOOR, batch.floor), (record::CEILING, batch.ceiling)] {
            if let Some(number) = number {
                changes.push((key.to_vec(), Some(number.to_be_bytes().as_slice().into())));
            }
        }
        let tree = &self.opened()?.tree;
        // One change is all or nothing by itself: sled's batches cost a second write, and wake most of its threads.
        if let [(key, Some(value))] = changes.as_slice() {
            return tree.insert(key, value).map(drop).map_err(words);
        }
        let mut together = ::sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => together.insert(key, value),
                None => together.remove(key),
            }
        }
        tree.apply_batch(together).map_err(words)
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let Some(open) = &self.open else { return Err(DiskError("the database is not open".to_owned())) };
        open.tree.flush().map_err(words)?;
        Ok(self.syncer.sync(&open.path, &open.file)?)
    }

    fn replace(&mut self, batches: &mut dyn Iterator<Item = Batch>) -> Result<(), DiskError> {
        self.open = None;
        let old = self.generation;
        let next = directory(&self.root, old + 1);
        if next.exists() {
            fs::remove_dir_all(&next)?;
        }
        self.open = Some(Open::at(&next)?);
        for batch in batches {
            self.apply(&batch)?;
        }
        self.sync()?;
        switch(&self.root, old + 1)?;
        self.generation = old + 1;
        // Whatever stays is removed at the next start.
        if let Err(error) = fs::remove_dir_all(directory(&self.root, old)) {
            tracing::warn!(%error, generation = old, "an old generation of the store could not be removed");
        }
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> Result<Self, DiskError> {
        let tree = unlocked(path)?;
        let path = path.join("db");
        let file = File::open(&path)?;
        Ok(Self { tree, path, file })
    }
}

/// Opens the database, waiting a while for whoever holds it to let go: sled's own threads drop the lock a moment after the last handle is
/// gone, and a process that was just killed may still be going.
fn unlocked(path: &Path) -> Result<::sled::Db, DiskError> {
    let give_up = Instant::now() + LOCK_PATIENCE;
    loop {
        forget_unfinished_snapshots(path)?;
        match ::sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None).open() {
            Ok(tree) => return Ok(tree),
            Err(::sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(words(error)),
        }
    }
}

/// Removes what a start left that was interrupted, or found the disk full: sled takes a snapshot that it was still writing
/// (`snap.….generating`) for a whole one, and then calls the database corrupt. Whole ones have another name, and without one the database
/// itself is read. Nothing is touched while somebody else has it open.
fn forget_unfinished_snapshots(path: &Path) -> Result<(), DiskError> {
    let Ok(database) = File::open(path.join("db")) else { return Ok(()) }; // a new one
    if database.try_lock().is_err() {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(b".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn words(error: ::sled::Error) -> DiskError {
    DiskError(error.to_string())
}

fn directory(root: &Path, generation: u64) -> PathBuf {
    root.join(generation.to_string())
}

/// The generation in use; none in a new store.
fn current(root: &Path) -> Result<Option<u64>, DiskError> {
    match fs::read_to_string(root.join("CURRENT")) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| DiskError("CURRENT names no generation".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes a generation, whose files are durable, the one in use: write, sync, rename, sync the directory.
fn switch(root: &Path, generation: u64) -> Result<(), DiskError> {
    File::open(directory(root, generation))?.sync_all()?;
    let new = root.join("CURRENT.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{generation}")?;
    file.sync_all()?;
    fs::rename(new, root.join("CURRENT"))?;
    Ok(File::open(root)?.sync_all()?)
}

/// Removes what an interrupted `replace` left.
fn forget_other_generations(root: &Path, keep: u64) -> Result<(), DiskError> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let generation: Option<u64> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if generation.is_some_and(|generation| generation != keep) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
