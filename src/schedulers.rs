//! The drivers' schedulers: whether each is alive, by the Lease of its leader election.

mod lease_monitor;
mod registry;

pub use lease_monitor::monitor;
pub use registry::{LeaseRef, Scheduler, SchedulerRegistry};
