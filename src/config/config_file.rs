//! The configuration file, and its changes while the process runs.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Config, ConfigError};
use crate::file::SmallFile;

/// The interval at which the contents are compared. A mounted `ConfigMap` changes by swapping a symbolic link in its
/// path, which a watch on the file does not notice. The kubelet itself needs up to a minute to notice a change.
const INTERVAL: Duration = Duration::from_secs(2);

/// A configuration file that is polled for changes.
#[derive(Debug)]
pub struct ConfigFile {
    file: SmallFile,
    seen: LastRead,
}

/// The result of the last read: the text, or the kind of the error.
type LastRead = Result<String, io::ErrorKind>;

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub async fn load(path: &Path) -> Result<(Self, Config), ConfigError> {
        let mut file = SmallFile::new(path);
        let text = file.read_to_string().await.map_err(|source| ConfigError::unreadable(path, source))?;
        let config = Config::parse(&text, &path.display().to_string())?;
        Ok((Self { file, seen: Ok(text) }, config))
    }

    /// Waits until the contents change, and returns the new configuration. Each change is returned once.
    ///
    /// # Errors
    /// As [`Config::load`], for the new contents.
    pub async fn changed(&mut self) -> Result<Config, ConfigError> {
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let read = self.file.read_to_string().await;
            let seen = read.as_ref().map(Clone::clone).map_err(io::Error::kind);
            if seen != self.seen {
                self.seen = seen;
                let path = self.file.path();
                let text = read.map_err(|source| ConfigError::unreadable(path, source))?;
                return Config::parse(&text, &path.display().to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;
    use crate::file::MAX_SIZE;

    /// A file as in a mounted `ConfigMap`: its name is a link into a directory that is itself a link.
    fn publish(folder: &Path, version: &str, text: &str) {
        let data = folder.join(version);
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("config.yaml"), text).unwrap();
        symlink(version, folder.join("new")).unwrap();
        std::fs::rename(folder.join("new"), folder.join("data")).unwrap();
    }

    async fn unchanged(file: &mut ConfigFile) -> bool {
        timeout(4 * INTERVAL, file.changed()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn valid_and_invalid_changes_are_each_returned_once() {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), "1", "mode: audit\n");
        let path = folder.path().join("config.yaml");
        symlink("data/config.yaml", &path).unwrap();
        let (mut file, config) = ConfigFile::load(&path).await.unwrap();
        assert_eq!(config, "mode: audit".parse().unwrap());
        assert!(unchanged(&mut file).await);

        publish(folder.path(), "2", "mode: off\n");
        assert_eq!(file.changed().await.unwrap(), "mode: off".parse().unwrap());
        publish(folder.path(), "3", "mode: on\n");
        let error = file.changed().await.unwrap_err().to_string();
        assert!(error.contains("config.yaml:1:7: `on` is not one of"), "{error}");
        assert!(unchanged(&mut file).await);
        std::fs::remove_file(folder.path().join("data")).unwrap();
        assert!(matches!(file.changed().await, Err(ConfigError::Unreadable { .. })));
        assert!(unchanged(&mut file).await);
        publish(folder.path(), "4", "{}");
        assert_eq!(file.changed().await.unwrap(), Config::default());
        publish(folder.path(), "5", &"#".repeat(MAX_SIZE + 1));
        let error = file.changed().await.unwrap_err();
        assert_eq!(error.source().unwrap().to_string(), "larger than 1 MiB");
        assert!(unchanged(&mut file).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_without_content_is_refused_at_start_and_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        let is_refused =
            |error: ConfigError| matches!(error, ConfigError::Empty { file } if file.ends_with("config.yaml"));
        for text in ["", "# mode: off\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(is_refused(ConfigFile::load(&path).await.unwrap_err()), "{text:?}");
            assert!(is_refused(Config::load(&path).unwrap_err()), "{text:?}");
        }
        std::fs::write(&path, "mode: off\n").unwrap();
        let (mut file, _) = ConfigFile::load(&path).await.unwrap();
        for text in ["", "# mode: off\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(is_refused(file.changed().await.unwrap_err()), "{text:?}");
        }
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(file.changed().await.unwrap(), Config::default());
    }
}
