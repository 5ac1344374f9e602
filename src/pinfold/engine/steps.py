"""The table of steps of the embed job; `stages` says in which order they are taken."""

from pinfold.engine import content, graph, joins, layers, parts, walks
from pinfold.engine.interface import Steps

EMBED = Steps(
    run={
        "is_whole": parts.is_whole,
        "graph.begin": graph.begin,
        "graph.build": graph.build,
        "degrees": graph.degrees,
        "people": content.people,
        "walks.begin": walks.begin,
        "walks.start": walks.start,
        "walks.count": walks.count,
        "walks.end": walks.end,
        "content": content.content,
        "project": layers.project,
        "convolve": layers.convolve_items,
        "vectors": layers.vectors,
        "users": layers.users,
    },
    send={
        "graph.send": graph.send,
        "walks.to_users": walks.to_users,
        "walks.to_items": walks.to_items,
        "join.ask": joins.ask,
        "join.answer": joins.answer,
    },
    receive={
        "graph.spill": graph.spill,
        "walks.at_users": walks.at_users,
        "walks.at_items": walks.at_items,
        "join.asked": joins.asked,
        "join.take": joins.take,
    },
)
