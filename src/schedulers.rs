//! The drivers' schedulers: whether each is alive, by the Leases of its processes.

mod lease_monitor;
mod monitored_lease;
mod registry;

pub use lease_monitor::monitor;
pub use registry::{LeaseRef, Scheduler, SchedulerRegistry};
