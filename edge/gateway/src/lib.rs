//! Listeners, routing and the request pipeline; names no service.
