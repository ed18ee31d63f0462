"""What is promised of a run, by every engine and each kind of worker; and the seed story: `./run_tests.sh engines`."""
