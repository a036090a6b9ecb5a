using System.Collections.Generic;
using System.Windows.Forms;

namespace Skinnybox.Windows
{
    /// <summary>An order that is being made: a bar, and each machine with how far it is.</summary>
    internal sealed class Making : FlowLayoutPanel
    {
        private const int ListHeight = 170;
        private readonly ProgressBar progress;
        private readonly MachineList machines;

        public Making(Order order, int width)
        {
            FlowDirection = FlowDirection.TopDown;
            WrapContents = false;
            AutoSize = true;
            AutoSizeMode = AutoSizeMode.GrowAndShrink;
            Margin = new Padding(0);
            progress = new ProgressBar { Width = width, Height = 18, Maximum = 1000, Margin = new Padding(3, 8, 3, 4) };
            machines = new MachineList(order.Names, width) { Height = ListHeight };
            Controls.Add(progress);
            Controls.Add(machines);
        }

        public void ShowStages(MachineWatch watch)
        {
            progress.Value = (int)(watch.Fraction * progress.Maximum);
            machines.ShowStages(watch);
        }

        public void ShowResults(IList<Made> made)
        {
            progress.Value = progress.Maximum;
            machines.ShowResults(made);
        }

        /// <summary>`isLost`: nobody here knows what came of it.</summary>
        public void ShowFailure(bool isLost)
        {
            progress.Value = 0;
            if (isLost)
            {
                machines.ShowUnknown();
            }
            else
            {
                machines.ShowNone();
            }
        }
    }
}
