//! Facts of objects on which decisions depend.

use serde::Deserialize;
use serde_json::Value;

use super::description::{DescriptionKind, KnownClass, VolumeProvisioner};
use super::json_parser::without_position;
use colocate_engine::storage::{HasMetadata, PersistentVolume, PersistentVolumeClaim, StorageClass};
use colocate_engine::{ClaimFacts, ClassFacts, VolumeFacts, parse_bool};

/// The facts of an object, or the reason why it cannot be used. `None` if nothing depends on the object.
pub(super) type ReadFacts = Result<Option<ObjectFacts>, String>;

/// The facts of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ObjectFacts {
    Claim {
        /// The namespace that it names.
        namespace: Option<String>,
        name: String,
        facts: ClaimFacts<'static>,
        /// Whether it has access modes. Kubernetes rejects a claim without them, so that it must be a patch.
        has_modes: bool,
    },
    Volume {
        name: String,
        provisioner: VolumeProvisioner,
        /// The namespace and the name of the claim that it is reserved for.
        claim: Option<(String, String)>,
    },
    Class(KnownClass),
    Strategy(String),
    Namespace {
        name: String,
        opts_out: bool,
    },
}

impl ObjectFacts {
    /// Reads an object. `opt_out` is the label that opts a Namespace out.
    pub(super) fn read(kind: DescriptionKind, value: &Value, opt_out: &str) -> ReadFacts {
        let metadata = &value["metadata"];
        let name = || metadata["name"].as_str().map(str::to_owned);
        let text = || value.to_string();
        Ok(match kind {
            // No pod can refer to it before its name is generated.
            DescriptionKind::Claim if metadata["generateName"].is_string() => None,
            _ if value["$patch"] == "delete" => return Err("a patch deletes it".to_owned()),
            DescriptionKind::Claim => {
                let text = text();
                let claim: PersistentVolumeClaim<'_> = decode(&text)?;
                Some(Self::Claim {
                    namespace: claim.namespace().map(str::to_owned),
                    name: named(&claim)?,
                    facts: claim.facts().into_owned(),
                    has_modes: !value["spec"]["accessModes"].is_null(),
                })
            }
            DescriptionKind::Volume => {
                let text = text();
                let volume: PersistentVolume<'_> = decode(&text)?;
                let claim = volume.claim().map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
                Some(Self::Volume { name: named(&volume)?, provisioner: provisioner_of(&volume.facts()), claim })
            }
            DescriptionKind::Class => {
                let text = text();
                let class: StorageClass<'_> = decode(&text)?;
                if class.provisioner().is_empty() {
                    return Err("it has no provisioner".to_owned());
                }
                Some(Self::Class(KnownClass::new(&named(&class)?, class.facts())))
            }
            DescriptionKind::Strategy => name().map(Self::Strategy),
            DescriptionKind::Namespace => {
                let label = metadata["labels"][opt_out].as_str().and_then(parse_bool);
                name().map(|name| Self::Namespace { name, opts_out: label == Some(true) })
            }
        })
    }
}

impl KnownClass {
    pub(super) fn new(name: &str, class: ClassFacts<'_>) -> Self {
        let ClassFacts { provisioner, default, binds_late, created, parameters } = class;
        Self { name: name.into(), provisioner: (&*provisioner).into(), default, binds_late, created, parameters }
    }
}

/// The provisioner of a volume, as it is kept.
pub(super) fn provisioner_of(volume: &VolumeFacts<'_>) -> VolumeProvisioner {
    volume.provisioner.as_ref().map(|(name, evidence)| ((&**name).into(), *evidence))
}

fn decode<'t, T: Deserialize<'t>>(text: &'t str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| without_position(&error))
}

fn named(object: &impl HasMetadata) -> Result<String, String> {
    object.name().map(str::to_owned).ok_or_else(|| "it has no metadata.name".to_owned())
}
