"""Podium: a workspace with its own clusters for every person in a room, at one click.

A map of this package, in the order in which it is best read:

    wire.py settings.py model.py profiles.py admission.py      the Workspace object and the menu
    room.py rules.py room_admission.py queue.py pool.py cost.py ending.py   the class as a whole
    workload.py keys.py clusters/ notebook.py desired.py       what should run
    observed.py scaling.py status.py culler.py happenings.py   what was seen, and what follows from it
    controller.py workqueue.py edges.py probe.py    the one loop, and its edges
    usher.py stock.py endings.py preflight/ archives/          what it does for a class
    store/ backends/ processes.py ports.py    where objects are kept, what runs workloads
    kube/                              below those for Kubernetes: requests, watches, the lease, events
    web/                               sign-in, pages, REST, event streams, the relay of dashboards
    metrics.py logs.py health.py       what is told of all that
    app.py configuration.py wiring.py parts.py uninstall.py ground/ state.py    wire, start and stop it all
    tools.py install.py                the programs from outside
    __main__.py cli.py doctor/         the command line, and what it finds missing in a cluster

Everything in the first four lines is pure: no I/O, no clock, no chance. The proxy has its own package,
`proxy`. This module must stay free of imports: `install.py` runs before anything is installed.
"""
