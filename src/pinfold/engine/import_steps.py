"""The table of steps of the import by shards; `importing` says in which order they are taken."""

from pinfold.engine import import_edges, import_events, import_ids
from pinfold.engine.interface import Steps

IMPORT = Steps(
    run={
        "look": import_events.look,
        "read": import_events.read,
        "begin": import_ids.begin,
        "ids.rounds": import_ids.rounds,
        "number": import_ids.number,
        "rows": import_events.rows,
        "merge": import_edges.merge,
    },
    send={
        "ids.send": import_ids.send,
        "answer": import_ids.answer,
        "events.send": import_edges.send,
    },
    receive={
        "ids.take": import_ids.take,
        "answered": import_ids.answered,
        "events.take": import_edges.take,
    },
)
