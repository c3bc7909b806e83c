//! Trust: the CA, and its certificate in the live webhook configurations.

mod ca_secret;
mod clock_report;
mod configuration;
mod configuration_watch;
mod controller;
mod live_configurations;
mod managed;
mod mounted;
mod propagation;
mod rotation;
mod secret_data;
mod trust_error;

pub use controller::{TrustController, TrustSource, WebhookNames};
pub use managed::{CaSettings, ManagedCa};
pub use mounted::MountedCa;
pub use rotation::Lifetimes;
