//! Control requests, their JSON, who may call. Nothing lives here yet.
