"""buf.validate, rebuilt from the descriptor inside the installed protovalidate package."""

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2
from google.protobuf.internal import builder
from protovalidate._gen.buf.validate import validate_pb

IMPORTS = (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2)  # the schema's own imports, loaded first
DESCRIPTOR = descriptor_pool.Default().AddSerializedFile(validate_pb._DESC.proto.to_binary())
builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, "buf.validate.validate_pb2", globals())
