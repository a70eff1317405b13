"""Podium: a workspace with its own clusters for every person in a room, at one click.

A map of this package, in the order in which it is best read:

    model.py profiles.py admission.py      the Workspace object, the menu, what people may ask for
    workload.py keys.py clusters/ notebook.py desired.py      what should run
    observed.py scaling.py status.py culler.py      what was seen, and what follows from it
    controller.py workqueue.py probe.py    the one loop, and its edge to schedulers and notebooks
    store/ backends/ processes.py ports.py the edges: where objects are kept, what runs workloads
    kube/                                  below those for Kubernetes: requests, watches, the lease
    web/                                   sign-in, pages, REST, event streams, the relay of dashboards
    app.py wiring.py ground/ state.py tools.py install.py      wire, start and stop it all
    __main__.py cli.py doctor/             the command line, and what it finds missing in a cluster

Everything in the first three lines is pure: no I/O, no clock, no chance. The proxy has its own package,
`proxy`. This module must stay free of imports: `install.py` runs before anything is installed.
"""
