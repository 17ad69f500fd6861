"""A run of a real engine on any device, beside a simulation by the kernel times that were measured on that device."""
