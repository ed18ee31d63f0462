"""Several machines, played by network namespaces of one: `./run_tests.sh hosts`."""
