"""Neural fields: sine networks and the derivatives of a field at a point."""
