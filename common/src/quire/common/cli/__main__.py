from quire.common.cli import main

main()
