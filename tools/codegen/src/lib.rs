//! From the models to lib/model and edge/api.
