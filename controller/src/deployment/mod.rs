pub mod plan;
pub mod progress;
pub mod sets;
pub mod size;
pub mod template;
