//! Reloads a certificate when its files change.
//!
//! The files are polled and compared: the kubelet updates a mounted Secret by swapping a symbolic link, which a watch on the
//! file does not notice.

use std::time::Duration;

use super::{CertificateFileError, CertificateFiles, CertificateResolver, Validity};
use crate::process::clock::Clock;

/// The interval at which the files are read. The kubelet needs up to two minutes to update them.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps the certificate of the files in a [`CertificateResolver`].
pub struct CertificateReloader<F> {
    files: CertificateFiles,
    resolver: CertificateResolver,
    clock: Clock,
    /// Called after each read.
    report: F,
    /// The failure that was logged last.
    failure: Option<String>,
}

/// The outcome of a read of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateRead<'r> {
    /// A new certificate is served, which has this validity.
    New(Option<Validity>),
    /// The files have the certificate that is served.
    Unchanged,
    /// The files cannot be used, for this reason.
    Refused(&'r str),
}

impl<F: Fn(CertificateRead<'_>)> CertificateReloader<F> {
    /// Reads the files for the first time, and serves their certificate. `clock` judges whether it is valid.
    ///
    /// # Errors
    /// If the files cannot be served.
    pub async fn begin(
        mut files: CertificateFiles,
        resolver: CertificateResolver,
        clock: Clock,
        report: F,
    ) -> Result<Self, CertificateFileError> {
        resolver.serve(files.read(clock.read().now()).await?);
        report(CertificateRead::New(resolver.validity()));
        Ok(Self { files, resolver, clock, report, failure: None })
    }

    /// Reads the files at intervals, forever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.reload().await;
        }
    }

    /// Serves the certificate of the files if it is new and can be served.
    async fn reload(&mut self) {
        match self.files.read(self.clock.read().now()).await {
            Ok(read) => {
                self.failure = None;
                if self.resolver.served().is_none_or(|served| *served != read) {
                    let until = read.certificate.validity().not_after();
                    self.resolver.serve(read);
                    (self.report)(CertificateRead::New(self.resolver.validity()));
                    // Who reads the line may rely on its effect.
                    let file = self.files.certificate().display();
                    tracing::info!(%file, %until, "serving a new certificate");
                } else {
                    (self.report)(CertificateRead::Unchanged);
                }
            }
            Err(error) => {
                let failure = format!("{error}; the previous certificate stays in use");
                (self.report)(CertificateRead::Refused(&failure));
                // Each failure is logged once. A pair that is half written is complete the next time.
                if self.failure.as_ref() != Some(&failure) {
                    tracing::error!("{failure}");
                    self.failure = Some(failure);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use jiff::SignedDuration;
    use tokio::time::Instant;

    use jiff::Timestamp;

    use super::*;
    use crate::tls::{Authority, Leaf, Validity};

    fn begin() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    /// Returns a clock that is this many hours ahead of `begin()`.
    fn clock(ahead: SignedDuration) -> (Clock, Arc<AtomicI64>) {
        let ahead = Arc::new(AtomicI64::new(ahead.as_hours()));
        let shown = ahead.clone();
        (Clock::new(move || begin() + SignedDuration::from_hours(shown.load(Ordering::Relaxed))), ahead)
    }

    fn issue() -> Leaf {
        let validity = Validity::new(begin(), SignedDuration::from_hours(2)).unwrap();
        let authority = Authority::new("a", validity).unwrap();
        authority.issue(&["colocate.storage.svc".parse().unwrap()], validity).unwrap()
    }

    fn write(folder: &Path, certificate: &Leaf, key: &Leaf) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("tls.crt"), certificate.certificate_pem()).unwrap();
        std::fs::write(folder.join("tls.key"), key.key_pem()).unwrap();
    }

    #[tokio::test]
    async fn a_swapped_link_is_noticed_and_invalid_files_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let [first, second] = [issue(), issue()];
        write(&path("first"), &first, &first);
        write(&path("mixed"), &second, &first);
        write(&path("second"), &second, &second);
        let swap = |to: &str| {
            symlink(path(to), path("new")).unwrap();
            std::fs::rename(path("new"), path("data")).unwrap();
        };
        swap("first");
        let name = Some("colocate.storage.svc".parse().unwrap());
        let files = CertificateFiles::new(path("data/tls.crt"), path("data/tls.key"), name);
        let (resolver, renewed) = (CertificateResolver::default(), Cell::new(0));
        let report = |read: CertificateRead<'_>| {
            renewed.set(renewed.get() + i32::from(matches!(read, CertificateRead::New(_))));
        };
        let (clock, ahead) = clock(SignedDuration::ZERO);
        let mut reloader = CertificateReloader::begin(files, resolver.clone(), clock, report).await.unwrap();
        let served = || resolver.served().unwrap().certificate.pem();
        reloader.reload().await;
        assert_eq!((served(), renewed.get()), (first.certificate_pem(), 1));
        swap("mixed");
        reloader.reload().await;
        assert_eq!((served(), renewed.get()), (first.certificate_pem(), 1));
        assert!(reloader.failure.as_ref().unwrap().contains("does not match"));
        swap("second");
        ahead.store(3, Ordering::Relaxed);
        reloader.reload().await;
        ahead.store(0, Ordering::Relaxed);
        assert_eq!(served(), first.certificate_pem());
        assert!(reloader.failure.as_ref().unwrap().contains("renew it"));
        reloader.reload().await;
        assert_eq!((served(), renewed.get()), (second.certificate_pem(), 2));
        assert_eq!(reloader.failure, None);
        std::fs::remove_file(path("data")).unwrap();
        reloader.reload().await;
        assert_eq!(served(), second.certificate_pem());
    }

    #[tokio::test(start_paused = true)]
    async fn files_are_judged_by_the_api_servers_clock() {
        let folder = tempfile::tempdir().unwrap();
        let leaf = issue();
        write(folder.path(), &leaf, &leaf);
        let files = || CertificateFiles::new(folder.path().join("tls.crt"), folder.path().join("tls.key"), None);
        for hours in [-8, 8, 400 * 24] {
            let (clock, ahead) = clock(SignedDuration::from_hours(hours));
            let start = |clock| CertificateReloader::begin(files(), CertificateResolver::default(), clock, |_| ());
            assert!(start(clock.clone()).await.is_err(), "{hours} h: only this machine's clock is known");
            clock.record(begin(), Instant::now());
            let mut reloader = start(clock.clone()).await.unwrap();
            reloader.reload().await;
            assert_eq!(reloader.failure, None, "{hours} h");
            // This machine's clock is right now, and the API server's is not.
            ahead.store(0, Ordering::Relaxed);
            clock.record(begin() + SignedDuration::from_hours(8), Instant::now());
            reloader.reload().await;
            assert!(reloader.failure.unwrap().contains("it is 2026-11-23T20:00:0"), "{hours} h");
        }
    }
}
