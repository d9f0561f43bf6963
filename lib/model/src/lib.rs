//! Generated inputs, outputs, errors and constraints of the service models.
