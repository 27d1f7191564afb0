from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SharedConfigMessage(_message.Message):
    __slots__ = ("kind", "seqno", "data")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        USER_PROFILE: _ClassVar[SharedConfigMessage.Kind]
        CONTACTS: _ClassVar[SharedConfigMessage.Kind]
        CONVO_INFO_VOLATILE: _ClassVar[SharedConfigMessage.Kind]
        USER_GROUPS: _ClassVar[SharedConfigMessage.Kind]
    USER_PROFILE: SharedConfigMessage.Kind
    CONTACTS: SharedConfigMessage.Kind
    CONVO_INFO_VOLATILE: SharedConfigMessage.Kind
    USER_GROUPS: SharedConfigMessage.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEQNO_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    kind: SharedConfigMessage.Kind
    seqno: int
    data: bytes
    def __init__(self, kind: _Optional[_Union[SharedConfigMessage.Kind, str]] = ..., seqno: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class ConfigContent(_message.Message):
    __slots__ = ("sharedConfigMessage",)
    SHAREDCONFIGMESSAGE_FIELD_NUMBER: _ClassVar[int]
    sharedConfigMessage: SharedConfigMessage
    def __init__(self, sharedConfigMessage: _Optional[_Union[SharedConfigMessage, _Mapping]] = ...) -> None: ...
