//! Kubernetes' storage objects, reduced to what ownership depends on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::engine::{Claim, Class, Volume};

impl From<&PersistentVolumeClaim> for Claim {
    fn from(claim: &PersistentVolumeClaim) -> Self {
        let spec = claim.spec.as_ref();
        Self::new(
            annotations(&claim.metadata),
            spec.and_then(|spec| spec.storage_class_name.as_deref()),
            spec.and_then(|spec| spec.volume_name.as_deref()),
        )
    }
}

impl From<&StorageClass> for Class {
    fn from(class: &StorageClass) -> Self {
        let created = class.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        Self::new(annotations(&class.metadata), &class.provisioner, created)
    }
}

impl From<&PersistentVolume> for Volume {
    fn from(volume: &PersistentVolume) -> Self {
        let spec = volume.spec.as_ref();
        Self::new(
            annotations(&volume.metadata),
            spec.is_some_and(|spec| spec.portworx_volume.is_some()),
            spec.and_then(|spec| spec.csi.as_ref()).map(|csi| csi.driver.as_str()),
        )
    }
}

fn annotations<'m>(metadata: &'m ObjectMeta) -> impl Fn(&str) -> Option<&'m str> {
    let annotations: Option<&'m BTreeMap<String, String>> = metadata.annotations.as_ref();
    move |key| annotations?.get(key).map(String::as_str)
}
