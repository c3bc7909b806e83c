//! Claims: their sources, the known facts about them, and the wait for a claim that does not exist yet.
//!
//! ```text
//! ClaimSource -> ClaimCache -> Inventory           the watches keep it current (collection)
//!             |             -> wait                a missing claim is fetched and waited for
//!             |                 Waiters              all state of waiting: who may wait, who no longer does
//!             |                   WaitSlots            limits the number of pods that wait, fairly
//!             |                 SingleFlight         one GET per object, however many pods ask
//!             |                   GetQueue             limits the number of GETs in flight, fairly
//!             |             -> StrategyLists       lists of placement strategies, shared for seconds
//!             -> Inventory     from files
//! Snapshot                                           one-time reads of a cluster, for a command
//! ```

mod cache;
mod collection;
mod deadlines;
mod freshness;
mod get_queue;
mod limits;
mod single_flight;
mod snapshot;
mod source;
mod strategies;
mod ttl_counter;
mod wait;
mod wait_slots;
mod waiters;
mod watched_kind;

pub use cache::ClaimCache;
pub use deadlines::Deadlines;
pub use limits::ClaimLimits;
pub use snapshot::{Forbidden, Snapshot};
pub use source::ClaimSource;
