//! Trust: the CA, and its certificate in the live webhook configurations.

mod ca_secret;
mod configuration;
mod configuration_watch;
mod controller;
mod live_configurations;
mod managed;
mod mounted;
mod rotation;
mod secret_data;

pub use controller::{TrustSource, WebhookNames, keep};
pub use managed::ManagedCa;
pub use mounted::MountedCa;
pub use rotation::{BundleObservation, CaState, LeafInUse, Lifetimes, OldCa, Propagation, RotationStep};
pub use secret_data::{CorruptSecret, SecretData};
