SELECT secret FROM installation WHERE one = 1
