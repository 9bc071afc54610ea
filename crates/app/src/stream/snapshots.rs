//! Snapshots of tasks, in a folder or in an object store.
//!
//! `PLACE/GROUP/TOPIC/PARTITION/OFFSET.snapshot` holds the state before that offset. It is written whole or not at all.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use tokio::runtime::Runtime;

/// Snapshots of one partition that are kept: the newest, and one before it in case the newest is damaged.
const KEPT: usize = 2;

/// What is larger is written in parts of this size, each of which is tried again by itself.
const PART_BYTES: usize = 16 << 20;

/// How long one request may take, with all that it carries.
const REQUEST_TIMEOUT: &str = "120s";

/// Where the snapshots of one consumer group are.
#[derive(Debug, Clone)]
pub struct Snapshots {
    storage: Arc<Storage>,
    group: Place,
}

/// The store, and the threads on which its requests make progress: whoever wants a snapshot waits for it.
#[derive(Debug)]
struct Storage {
    objects: Box<dyn ObjectStore>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Snapshots {
    /// At `place`: a folder, which is created, or the URL of a bucket and what names in it begin with. Keys and endpoint of
    /// a bucket are those of the environment, by their usual names.
    ///
    /// # Errors
    /// If the folder cannot be created, or the URL is none of a store that is known.
    pub fn new(place: &str, group: &str) -> Result<Snapshots> {
        let (objects, root) = if place.contains("://") { bucket(place)? } else { folder(Path::new(place))? };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map(Some)?;
        Ok(Snapshots { storage: Arc::new(Storage { objects, runtime }), group: root.join(group) })
    }

    /// Writes the state before `offset`, and removes all but the newest few.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, topic: &str, partition: i32, offset: i64, bytes: Vec<u8>) -> Result<()> {
        let place = self.place(topic, partition, offset);
        let written = self.storage.wait(self.storage.put(&place, bytes));
        written.with_context(|| format!("cannot write the snapshot {place}"))?;
        for old in self.list(topic, partition)?.into_iter().skip(KEPT) {
            // Another process may have removed it already.
            drop(self.storage.wait(self.storage.objects.delete(&self.place(topic, partition, old))));
        }
        Ok(())
    }

    /// Snapshots of states before an offset of at most `offset`, newest first, each with its own offset.
    ///
    /// # Errors
    /// If it cannot be found out which there are.
    pub fn up_to(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<impl Iterator<Item = (i64, Result<Vec<u8>>)>> {
        let offsets = self.list(topic, partition)?.into_iter().filter(move |found| *found <= offset);
        Ok(offsets.map(move |offset| (offset, self.read(&self.place(topic, partition, offset)))))
    }

    fn read(&self, place: &Place) -> Result<Vec<u8>> {
        let bytes = self.storage.wait(async { self.storage.objects.get(place).await?.bytes().await });
        Ok(bytes.with_context(|| format!("cannot read the snapshot {place}"))?.into())
    }

    fn place(&self, topic: &str, partition: i32, offset: i64) -> Place {
        self.of(topic, partition).join(format!("{offset:020}.snapshot"))
    }

    fn of(&self, topic: &str, partition: i32) -> Place {
        self.group.clone().join(topic).join(partition.to_string())
    }

    /// Offsets of a partition's snapshots, newest first.
    fn list(&self, topic: &str, partition: i32) -> Result<Vec<i64>> {
        let place = self.of(topic, partition);
        let found = self.storage.wait(self.storage.objects.list_with_delimiter(Some(&place)));
        let found = found.with_context(|| format!("cannot find out which snapshots are in {place}"))?;
        let offset = |name: &str| name.strip_suffix(".snapshot")?.parse().ok();
        let names = found.objects.iter().filter_map(|object| object.location.filename());
        let mut offsets: Vec<i64> = names.filter_map(offset).collect();
        offsets.sort_unstable_by(|a, b| b.cmp(a));
        Ok(offsets)
    }
}

impl Storage {
    async fn put(&self, place: &Place, bytes: Vec<u8>) -> object_store::Result<()> {
        if bytes.len() <= PART_BYTES {
            return self.objects.put(place, PutPayload::from(bytes)).await.map(drop);
        }
        let upload = self.objects.put_multipart(place).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        parts.write(&bytes);
        parts.finish().await.map(drop)
    }

    fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("it is taken when nobody can ask any more").block_on(request)
    }
}

impl Drop for Storage {
    /// The last one may go where no thread may wait for others.
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn folder(path: &Path) -> Result<(Box<dyn ObjectStore>, Place)> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok((Box::new(LocalFileSystem::new_with_prefix(path)?), Place::default()))
}

fn bucket(url: &str) -> Result<(Box<dyn ObjectStore>, Place)> {
    let known = |name: &str| name.starts_with("AWS_");
    let mut options: Vec<(String, String)> = std::env::vars().filter(|(name, _)| known(name)).collect();
    let is_plain =
        |(name, value): &(String, String)| name.starts_with("AWS_ENDPOINT") && value.starts_with("http://");
    if options.iter().any(is_plain) {
        options.push(("allow_http".into(), "true".into()));
    }
    options.push(("timeout".into(), REQUEST_TIMEOUT.into()));
    let parsed = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
    object_store::parse_url_opts(&parsed, options)
        .with_context(|| format!("cannot keep snapshots at `{url}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_two_are_kept_and_found_up_to_an_offset() {
        let folder = std::env::temp_dir().join(format!("redflag-snapshots-{}", std::process::id()));
        let snapshots = Snapshots::new(folder.join("a/b").to_str().unwrap(), "group").unwrap();
        assert_eq!(snapshots.up_to("t", 3, 100).unwrap().count(), 0);
        for offset in [5, 70, 9] {
            snapshots.write("t", 3, offset, offset.to_string().into_bytes()).unwrap();
        }
        snapshots.write("t", 4, 1, vec![7; PART_BYTES + 1]).unwrap();
        let found = |offset| -> Vec<(i64, Vec<u8>)> {
            let found = snapshots.up_to("t", 3, offset).unwrap();
            found.map(|(offset, bytes)| (offset, bytes.unwrap())).collect()
        };
        assert_eq!(found(100), [(70, b"70".to_vec()), (9, b"9".to_vec())]);
        assert_eq!(found(69), [(9, b"9".to_vec())]);
        let (_, large) = snapshots.up_to("t", 4, 1).unwrap().next().unwrap();
        assert_eq!(large.unwrap().len(), PART_BYTES + 1);
        assert!(folder.join("a/b/group/t/3/00000000000000000070.snapshot").is_file());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
