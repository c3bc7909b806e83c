//! Kubernetes Events about the controllers of pods, for the warnings that their owners should act on.
//!
//! The warnings of a review go to the client that creates the pod. For most pods that is a controller, which drops them. An
//! Event on the controller has the same text, and `kubectl describe` shows it.
//!
//! ```text
//! review -> Occurrence -> queue -> SeriesTable -> POST or PATCH
//!           one warning   bounded  deduplicates   in the background
//!                         never    and limits
//!                         waits
//! ```

mod event;
mod occurrence;
mod recorder;
mod series_table;
mod token_bucket;
mod writer;

pub use recorder::EventRecorder;
