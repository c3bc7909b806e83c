//! The kubelet's event loop.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream::{BoxStream, StreamExt as _, select_all};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Resource;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::container::{Container, Source};
use super::replica::Replicas;
use super::{Host, LABEL, pod};
use crate::{Files, Mount, Object};

pub(crate) struct EventLoop {
    host: Arc<Host>,
    replicas: Replicas,
    end: CancellationToken,
    /// The files of each known volume source.
    files: BTreeMap<Source, Files>,
    /// Pods that wait for volume sources, by UID.
    waiting: BTreeMap<String, Container>,
    started: BTreeMap<String, Started>,
}

/// A pod whose process was started.
struct Started {
    mounts: Vec<(Source, Mount)>,
    /// Cancelled when the pod is deleted.
    deleted: CancellationToken,
}

/// A watch event.
enum Change {
    Applied(Object),
    Deleted(Object),
}

impl EventLoop {
    pub(crate) fn new(host: Arc<Host>, replicas: Replicas, end: CancellationToken) -> Self {
        let (files, waiting, started) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { host, replicas, end, files, waiting, started }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        let host = &self.host;
        let mut events = select_all([watch::<ConfigMap>(host), watch::<Secret>(host), watch::<Pod>(host)]);
        while let Some(change) = events.next().await {
            match change {
                Change::Applied(pod) if pod.kind() == "Pod" => self.pod_applied(pod),
                Change::Deleted(pod) if pod.kind() == "Pod" => self.pod_deleted(&pod),
                Change::Applied(object) => self.update_mounts(&object),
                // Mounted files outlive their source.
                Change::Deleted(_) => {}
            }
            self.start_complete();
        }
    }

    fn pod_applied(&mut self, pod: Object) {
        let uid = pod.uid().to_owned();
        if !pod.text("/metadata/deletionTimestamp").is_empty() {
            self.pod_deleted(&pod);
        } else if !pod.0["spec"]["nodeSelector"][LABEL].is_null() && !self.started.contains_key(&uid) {
            self.waiting.insert(uid, Container::new(pod));
        }
    }

    fn pod_deleted(&mut self, pod: &Object) {
        self.waiting.remove(pod.uid());
        if let Some(Started { deleted, .. }) = self.started.remove(pod.uid()) {
            deleted.cancel();
        }
    }

    /// Stores the files of a volume source, and updates its mounts.
    fn update_mounts(&mut self, object: &Object) {
        let name = object.name().to_owned();
        let source = if object.kind() == "Secret" { Source::Secret(name) } else { Source::ConfigMap(name) };
        let files = files(object);
        let mounts = self.started.values_mut().flat_map(|started| &mut started.mounts);
        for (_, mount) in mounts.filter(|(own, _)| *own == source) {
            mount.write(&files);
        }
        self.files.insert(source, files);
    }

    fn start_complete(&mut self) {
        let Self { files, waiting, .. } = self;
        let complete = |_: &String, container: &mut Container| {
            container.volumes.iter().all(|volume| files.contains_key(&volume.source))
        };
        let ready: Vec<_> = waiting.extract_if(.., complete).collect();
        for (uid, container) in ready {
            self.start(uid, container);
        }
    }

    fn start(&mut self, uid: String, container: Container) {
        let folder = self.host.folder.join(&uid);
        let mounts = container.volumes.iter().enumerate().map(|(index, volume)| {
            let mut mount = Mount::new(folder.join(index.to_string()));
            mount.write(&self.files[&volume.source]);
            (volume.source.clone(), mount)
        });
        let mounts: Vec<_> = mounts.collect();
        let folders = mounts.iter().map(|(_, mount)| mount.folder().to_owned()).collect();
        let deleted = CancellationToken::new();
        let pod = pod::run_pod(self.host.clone(), container, folders, self.replicas.clone(), deleted.clone());
        tokio::spawn(self.end.clone().run_until_cancelled_owned(pod));
        self.started.insert(uid, Started { mounts, deleted });
    }
}

/// Watches the objects of a kind in the namespace, including existing objects.
fn watch<K>(host: &Host) -> BoxStream<'static, Change>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + 'static,
    K: DeserializeOwned + Serialize,
{
    let objects = kube::Api::<K>::namespaced(host.api.client(), &host.namespace);
    let change = async |event| {
        let object = |object: K| Object(serde_json::to_value(object).expect("objects are JSON"));
        match event {
            Ok(Event::InitApply(applied) | Event::Apply(applied)) => Some(Change::Applied(object(applied))),
            Ok(Event::Delete(deleted)) => Some(Change::Deleted(object(deleted))),
            // The watch restarts, or the API server is unavailable. In both cases, the watcher retries.
            Ok(Event::Init | Event::InitDone) | Err(_) => None,
        }
    };
    watcher(objects, Config::default()).default_backoff().filter_map(change).boxed()
}

/// The files of a `ConfigMap` or a Secret.
fn files(object: &Object) -> Files {
    let is_secret = object.kind() == "Secret";
    let content = |value: &Value| {
        let text = value.as_str().unwrap_or_default();
        if is_secret { STANDARD.decode(text).expect("the API server validated the base64") } else { text.into() }
    };
    let data = object.0["data"].as_object().into_iter().flatten();
    data.map(|(name, value)| (name.clone(), content(value))).collect()
}
