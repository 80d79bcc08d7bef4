"""The public edge: REST in JSON on the outside, gRPC to one region on the inside. It keeps nothing."""
