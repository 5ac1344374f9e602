"""An artifact in, answers by external id out: store (durable), service (ids, no HTTP), http (routes, no logic)."""
