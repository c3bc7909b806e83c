//! What the product exists for: from the bytes of an `AdmissionReview` to a decision and a patch.
//!
//! Everything here is a pure function of its arguments: no I/O, no clock, nothing asynchronous. A request walks through
//! the modules in this order:
//!
//! ```text
//! bytes -> review -> workload, pod -> claim  ->  owner  -> decision -> patch, warning -> response -> bytes
//!          parse     locate           what is    whose     the rules   what is changed   answer
//!                                     mounted    it is                 and said
//! ```
//!
//! Only the owners of claims come from elsewhere: [`examine`] goes as far as it can without them, and
//! [`Pending::decide`] goes on from there.

mod annotation;
mod claim;
mod decision;
pub mod dns;
mod driver;
mod entries;
mod facts;
mod fields;
mod interner;
mod inventory;
mod json;
mod line;
mod owner;
mod owners;
mod patch;
mod pod;
mod policy;
mod presence;
mod reason;
mod response;
mod review;
mod setting;
pub mod storage;
mod warning;
mod workload;

pub use annotation::{Annotations, DISABLE_ADMISSION_CONTROLLER, DISABLE_HYPERCONVERGENCE, parse_bool};
pub use claim::ClaimRef;
pub use decision::{Decision, Pending, Step, examine};
pub use driver::{Driver, Drivers, PORTWORX_IN_TREE};
pub use facts::{AccessModes, Claim, Class, Volume};
pub use fields::Fields;
pub use inventory::{ClaimUse, Inventory, Listing};
pub use json::{Text, object, present};
pub use line::one_line;
pub use owner::{Owner, Unknown};
pub use owners::Owners;
pub use patch::set_scheduler;
pub use policy::{
    DEFAULT_SCHEDULER, MissingClaim, Mode, OptOut, OptOutAnnotation, OwnerKind, Policy, ReplaceableSchedulers,
    Templates,
};
pub use presence::{Away, Presence};
pub use reason::Reason;
pub use response::{AuditAnnotations, Response};
pub use review::{API_VERSION, KIND, Kind, Malformed, Operation, Request, Review, expect, expect_uid};
pub use setting::{Setting, Settings};
pub use warning::Warning;
pub use workload::{Object, Update, Workload, Workloads};
