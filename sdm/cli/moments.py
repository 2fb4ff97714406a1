"""Times for people: those of this machine's zone, which is named."""

import datetime as dt


def shown(moment: dt.datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M %Z}"
