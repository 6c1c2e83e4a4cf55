"""What the labs of the site need besides the shipped weights: graphs for the browser, and pictures made beforehand."""
