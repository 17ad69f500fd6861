"""The papers that rank requests by how long they will take: what their figures share."""
