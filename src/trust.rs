//! Trust: the CA, and its certificate in the live webhook configurations.

mod ca_secret;
mod configuration;
mod configuration_watch;
mod keeper;
mod managed;
mod mounted;
mod rotation;
mod secret_data;
mod tracked;

pub use keeper::{TrustSource, WebhookNames, keep};
pub use managed::ManagedCa;
pub use mounted::MountedCa;
pub use rotation::{Holding, InUse, Lifetimes, Live, Look, Old, RotationStep};
pub use secret_data::{CorruptSecret, SecretData};
