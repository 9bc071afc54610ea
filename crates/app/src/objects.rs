//! Objects by name, in a folder or in a bucket. Each is written whole or not at all.

use std::path::Path;

use anyhow::{Context, Result};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart};
use tokio::runtime::Runtime;

pub use object_store::path::Path as Place;

/// What is larger is written in parts of this size, each of which is tried again by itself.
pub const PART_BYTES: usize = 16 << 20;

/// How long one request may take, with all that it carries.
const REQUEST_TIMEOUT: &str = "120s";

/// The store, and the threads on which its requests make progress: whoever asks waits for the answer, and must not be on
/// a thread that drives other tasks.
#[derive(Debug)]
pub struct Objects {
    store: Box<dyn ObjectStore>,
    root: Place,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

/// What stands at a place.
#[derive(Debug, Default)]
pub struct Listing {
    /// Places that hold more.
    pub folders: Vec<Place>,
    /// Objects.
    pub objects: Vec<Place>,
}

impl Objects {
    /// At `place`: a folder, which is created, or the URL of a bucket and what names in it begin with. Keys and endpoint of
    /// a bucket are those of the environment, by their usual names.
    ///
    /// # Errors
    /// If the folder cannot be created, or the URL is none of a store that is known.
    pub fn open(place: &str) -> Result<Objects> {
        let (store, root) = if is_url(place) { bucket(place)? } else { folder(Path::new(place))? };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map(Some)?;
        Ok(Objects { store, root, runtime })
    }

    /// Where everything begins.
    pub fn root(&self) -> Place {
        self.root.clone()
    }

    /// Writes an object, in place of what stood there.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, place: &Place, bytes: Vec<u8>) -> Result<()> {
        self.wait(self.write(place, bytes)).with_context(|| format!("cannot write {place}"))
    }

    /// Writes an object where there is none; false if there is one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(&self, place: &Place, bytes: Vec<u8>) -> Result<bool> {
        match self.wait(self.store.put_opts(place, PutPayload::from(bytes), PutMode::Create.into())) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error).with_context(|| format!("cannot write {place}")),
        }
    }

    /// What an object holds; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn get(&self, place: &Place) -> Result<Option<Vec<u8>>> {
        match self.wait(async { self.store.get(place).await?.bytes().await }) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {place}")),
        }
    }

    /// Whether there is such an object.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn has(&self, place: &Place) -> Result<bool> {
        match self.wait(self.store.head(place)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("cannot look for {place}")),
        }
    }

    /// What stands at a place; nothing if nobody has written there.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn list(&self, place: &Place) -> Result<Listing> {
        let found = self.wait(self.store.list_with_delimiter(Some(place)));
        let found = found.with_context(|| format!("cannot find out what is in {place}"))?;
        let objects = found.objects.into_iter().map(|object| object.location).collect();
        Ok(Listing { folders: found.common_prefixes, objects })
    }

    /// Removes an object.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn delete(&self, place: &Place) -> Result<()> {
        self.wait(self.store.delete(place)).with_context(|| format!("cannot remove {place}"))
    }

    async fn write(&self, place: &Place, bytes: Vec<u8>) -> object_store::Result<()> {
        if bytes.len() <= PART_BYTES {
            return self.store.put(place, PutPayload::from(bytes)).await.map(drop);
        }
        let upload = self.store.put_multipart(place).await?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        parts.write(&bytes);
        parts.finish().await.map(drop)
    }

    fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("it is taken when nobody can ask any more").block_on(request)
    }
}

impl Drop for Objects {
    /// The last one may go where no thread may wait for others.
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// Whether a place is a bucket rather than a folder.
pub fn is_url(place: &str) -> bool {
    place.contains("://")
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
    object_store::parse_url_opts(&parsed, options).with_context(|| format!("cannot keep anything at `{url}`"))
}
