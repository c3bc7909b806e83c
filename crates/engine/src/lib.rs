//! The core of colocate: from the bytes of an `AdmissionReview` to a decision and a patch.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, no async code. A request passes through the
//! modules in this order:
//!
//! ```text
//! bytes -> review -> workload, pod -> claim  ->  owner  -> decision -> patch, warning -> response -> bytes
//!          parse     locate           mounted    of each   the rules   change and        encode
//!                                     volumes    claim                 warnings
//! ```
//!
//! Only the owners of claims come from the caller: [`examine`] goes as far as it can without them, and
//! [`Pending::decide`] continues from there.

mod amount;
mod annotation;
mod api_version;
mod claim;
mod decision;
mod decode;
pub mod dns;
mod driver;
mod entries;
mod evidence;
mod exclusion;
mod fields;
mod interner;
mod inventory;
mod line;
mod opt_out;
mod owner;
mod owners;
mod patch;
mod pod;
mod policy;
mod portworx_classes;
mod presence;
mod reason;
mod response;
mod review;
mod setting;
mod source;
pub mod storage;
mod storage_facts;
mod storage_view;
mod topic;
mod visibility;
mod warning;
mod workload;

pub use json_patch::jsonptr::PointerBuf;

pub use amount::amount;
pub use annotation::{Annotations, DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, parse_bool};
pub use api_version::current_api_version;
pub use claim::ClaimRef;
pub use decision::{Decision, Examination, Pending, examine};
pub use decode::{Text, each_element, object, present};
pub use driver::{Driver, Drivers, NO_PROVISIONER, PORTWORX_IN_TREE, PORTWORX_PROVISIONERS, is_same_driver};
pub use evidence::{Evidence, EvidenceSet};
pub use fields::Fields;
pub use inventory::{Inventory, Listing};
pub use line::{is_unsafe, one_line, printable, printable_lines};
pub use opt_out::{OptOut, OptOutKey, OptOutKeys, OwnerKind};
pub use owner::{Absence, ClaimClass, Owner, Unknown};
pub use owners::Owners;
pub use pod::{ControllerReference, controller};
pub use policy::{DEFAULT_SCHEDULER, MissingClaim, Mode, Policy, ReplaceableSchedulers, Templates};
pub use portworx_classes::portworx_classes;
pub use presence::{Away, LostLease, Presence};
pub use reason::Reason;
pub use response::{AdmissionResponse, AuditAnnotations};
pub use review::{API_VERSION, GroupVersionKind, KIND, Malformed, Operation, Request, Review, expect, expect_uid};
pub use setting::{Setting, Settings};
pub use source::Source;
pub use storage::{CLAIM_ANNOTATIONS, CLASS_ANNOTATIONS, VOLUME_ANNOTATIONS};
pub use storage_facts::{AccessModes, ClaimFacts, ClassFacts, VolumeFacts};
pub use storage_view::{ClaimUse, ClassEntry, ClassUse, StorageView};
pub use topic::Topic;
pub use visibility::Visibility;
pub use warning::Warning;
pub use workload::{Update, Workload, WorkloadObject, Workloads};
