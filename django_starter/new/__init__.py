"""What `./start_project.sh` runs: a checkout of somebody's own, under a name of their own.

`project.py` tells the story, `cuts.py` knows what is left out, and `accounts/` is the app with the user model that a
new project begins with. It is no app of this checkout: databases that exist have Django's own users.
"""
