"""``specbias sweep``: a chapter over a grid of parameters, and one page that compares the runs."""
